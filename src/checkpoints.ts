import { join } from 'node:path';
import type { Logger } from 'pino';
import type { CheckpointPlace } from './audit/checkpoint-place.ts';
import { createCheckpointRows } from './audit/checkpoint-rows.ts';
import { type Checkpointer, createCheckpointer } from './audit/checkpointer.ts';
import { askWitness, type WitnessAddress } from './audit/witness-client.ts';
import { createWitnessFollowers } from './audit/witness-followers.ts';
import type { AuditWriter } from './audit/writer.ts';
import type { Config } from './config.ts';
import { witnessName } from './core/audit/cosignature.ts';
import { formatNoteKey, type NoteKey, parseNoteKey } from './core/audit/note.ts';
import { isAppError } from './core/errors.ts';
import type { PostgresSettings } from './core/postgres-settings.ts';
import type { KeyCache } from './crypto/key-cache.ts';
import { createNoteSigner } from './crypto/note-signer.ts';
import { isOnAnotherFileSystem, openCheckpointFolder } from './storage/checkpoint-folder.ts';

/** A place where checkpoints are kept besides the database, and what keeps it from being a second place, if anything. */
type JudgedPlace = { readonly place: CheckpointPlace; readonly weakness: string | null };

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
  /** Whether checkpoints are beyond the reach of whoever has the database's superuser. */
  readonly secondPlace: boolean;
  readonly places: readonly { readonly where: string; readonly weakness: string | null }[];
  readonly status: () => Promise<CheckpointStatus>;
};

export type CheckpointOptions = {
  readonly config: Config;
  readonly purpose: 'serve' | 'command';
  readonly postgres: PostgresSettings;
  readonly installationId: string;
  readonly keys: KeyCache;
  readonly audit: Pick<AuditWriter, 'verifiedHead' | 'halt'>;
  readonly logger: Logger;
};

const openFolder = async ({ dataDir }: Config, folder: string): Promise<JudgedPlace> => {
  const apart = await isOnAnotherFileSystem(folder, dataDir);
  const place = await openCheckpointFolder(folder, Date.now());
  return { place, weakness: apart ? null : 'on the same file system as the data' };
};

const openBucket = async ({ s3, checkpointLockDays }: Config): Promise<JudgedPlace | null> => {
  if (s3 === null) return null;
  const { openS3Checkpoints } = await import('./storage/s3-checkpoints.ts');
  const place = await openS3Checkpoints({ ...s3, lockDays: checkpointLockDays, now: Date.now });
  return { place, weakness: place.locking ? null : 'without Object Lock' };
};

/** A command goes on without a bucket that is away: it may be about what needs none. */
const openPlaces = async ({ config, purpose }: CheckpointOptions): Promise<readonly JudgedPlace[]> => {
  const bucket = await openBucket(config).catch((error: unknown) => {
    if (purpose === 'command' && isAppError(error, 'storage_unavailable')) return null;
    throw error;
  });
  const folder = config.checkpointDir ?? (config.s3 === null ? join(config.dataDir, 'checkpoints') : null);
  return [bucket, folder === null ? null : await openFolder(config, folder)].filter((one) => one !== null);
};

/** A log that contradicts its checkpoints stops the start; a command may look at it, with a writer that is halted. */
const compare = async ({ resume }: Checkpointer, purpose: 'serve' | 'command'): Promise<void> => {
  try {
    await resume();
  } catch (error) {
    if (purpose === 'serve' || !isAppError(error)) throw error;
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
  const { purpose, postgres, installationId, keys, audit, logger } = options;
  const signer = await createNoteSigner(keys, `callvault.${installationId}`);
  const judged = await openPlaces(options);
  const rows = createCheckpointRows({ postgres, log: logger });
  const { verifiedHead, halt } = audit;
  const places = judged.map(({ place }) => place);
  const named = witnessesOf(options);
  const followed = { rows, places, witnesses: named, ask: askWitness, log: logger };
  const witnesses = createWitnessFollowers({ ...followed, now: () => performance.now() });
  const checkpointer = createCheckpointer({
    ...{ rows, signer, places, verifiedHead, halt, witnesses },
    log: logger,
  });
  try {
    await compare(checkpointer, purpose);
    const logKey = formatNoteKey(await signer.key());
    return {
      ...checkpointer,
      logKey,
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
