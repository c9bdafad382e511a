import type { CheckpointPlace } from '../audit/checkpoint-place.ts';
import { createCheckpointRows } from '../audit/checkpoint-rows.ts';
import { type Checkpointer, createCheckpointer } from '../audit/checkpointer.ts';
import { askWitness, type WitnessAddress } from '../audit/witness-client.ts';
import { createWitnessFollowers } from '../audit/witness-followers.ts';
import { witnessName } from '../core/audit/cosignature.ts';
import { formatNoteKey, type NoteKey, parseNoteKey } from '../core/audit/note.ts';
import { type AppError, isAppError } from '../core/errors.ts';
import type { DeclareEpochDeps } from '../services/declare-epoch.ts';
import { type AwayPlace, openPlaces } from './checkpoint-places.ts';
import {
  assertSealed,
  type EpochOptions,
  epochsOf,
  findLoss,
  isSealed,
  sealEpoch,
  signerOf,
} from './log-epochs.ts';

export type CheckpointStatus = {
  /** Entries of the log, and of the newest checkpoint in the database. */
  readonly size: number;
  readonly kept: number;
  /** When that was kept, in seconds since 1970; null before the first. */
  readonly keptAt: number | null;
  readonly places: readonly {
    readonly where: string;
    readonly size: number;
    readonly weakness: string | null;
  }[];
  /** Of how many entries each has cosigned a checkpoint. */
  readonly witnesses: readonly { readonly name: string; readonly size: number }[];
};

export type Checkpoints = Checkpointer & {
  /** Public half of the log's key, as those who verify want it. */
  readonly logKey: string;
  /** The same key under the name of every epoch of this log so far, newest last. */
  readonly logKeys: readonly string[];
  /** What a declaration of a new epoch asks and does; opens what it needs and closes it. */
  readonly epochs: DeclareEpochDeps['epochs'];
  /** Null when the log agreed with every checkpoint that it was compared with; else, for a command, `log_halted`. */
  readonly disagreement: AppError | null;
  /** What keeps checkpoints and was not compared with the log, and why; for a vault that serves none, for it does not start then. */
  readonly notCompared: readonly AwayPlace[];
  /** Whether checkpoints are beyond the reach of whoever has the database's superuser. */
  readonly secondPlace: boolean;
  readonly places: readonly { readonly where: string; readonly weakness: string | null }[];
  readonly status: () => Promise<CheckpointStatus>;
};

export type CheckpointOptions = EpochOptions;

const ALL = 'any place, and the database';

/** A log that contradicts its checkpoints stops the start; a command may look at it, with a writer that is halted. */
const compare = async (
  { resume }: Checkpointer,
  sealed: () => Promise<boolean>,
  { purpose, audit }: CheckpointOptions,
): Promise<AppError | null> => {
  try {
    assertSealed(await sealed());
    await resume();
    return null;
  } catch (error) {
    if (purpose === 'serve' || !isAppError(error)) throw error;
    if (error.code === 'log_halted') audit.halt(error);
    return error;
  }
};

const witnessesOf = ({ config }: CheckpointOptions): readonly WitnessAddress[] =>
  config.witnesses.flatMap(({ key: text, url }) => {
    const key = parseNoteKey(text);
    return key === null ? [] : [{ key, url }];
  });

/**
 * Opens the places of checkpoints and compares the log with what they and the database keep, before anything is appended.
 * Rejects for a vault that is to serve with `log_halted` when they contradict each other, and with `log_unavailable` or
 * `storage_unavailable` when that cannot be known.
 */
export const openCheckpoints = async (options: CheckpointOptions): Promise<Checkpoints> => {
  const { postgres, audit, logger } = options;
  const rows = createCheckpointRows({ postgres, log: logger });
  const { entries, epoch } = await epochsOf(options, rows);
  const { signer, all } = await signerOf(options, epoch);
  const { judged, away } = await openPlaces(options, epoch);
  const notCompared = new Map(away.map((place) => [place.where, place]));
  const onAway = ({ where }: CheckpointPlace, { message: fault }: AppError): void => {
    notCompared.set(where, { where, fault });
  };
  const { verifiedHead, halt } = audit;
  const places = judged.map(({ place }) => place);
  const named = witnessesOf(options);
  const followed = { rows, places, witnesses: named, ask: askWitness, log: logger };
  const witnesses = createWitnessFollowers({ ...followed, now: () => performance.now() });
  const checkpointer = createCheckpointer({
    ...{ rows, signer, places, verifiedHead, halt, witnesses },
    ...(options.purpose === 'command' ? { onAway } : {}),
    log: logger,
  });
  try {
    const sealed = (): Promise<boolean> => isSealed(rows, signer, entries);
    const error = await compare(checkpointer, sealed, options);
    const disagreement = error?.code === 'log_halted' ? error : null;
    if (error !== null && disagreement === null) notCompared.set(ALL, { where: ALL, fault: error.message });
    const logKeys = await Promise.all(all.map(async ({ key }) => formatNoteKey(await key())));
    return {
      ...checkpointer,
      logKey: logKeys.at(-1)!,
      logKeys,
      disagreement,
      notCompared: [...notCompared.values()],
      epochs: {
        opened: async () => ({ entries, sealed: await sealed() }),
        loss: () => findLoss(options, rows, epoch),
        seal: (number) => sealEpoch(options, number),
      },
      places: judged.map(({ place, weakness }) => ({ where: place.where, weakness })),
      secondPlace: judged.some(({ weakness }) => weakness === null),
      status: async () => {
        const { head, newest } = await rows.state();
        const positions = await rows.positions();
        const seenBy = (key: NoteKey): number =>
          positions.find(({ witness }) => witness === witnessName(key))?.size ?? 0;
        return {
          size: head.size,
          kept: newest?.size ?? 0,
          keptAt: newest?.at ?? null,
          places: checkpointer
            .copies()
            .map((copy, i) => ({ ...copy, weakness: judged[i]?.weakness ?? null })),
          witnesses: named.map(({ key }) => ({ name: key.name, size: seenBy(key) })),
        };
      },
    };
  } catch (error) {
    await checkpointer.close();
    throw error;
  }
};
