import { join } from 'node:path';
import type { Logger } from 'pino';
import { logHalted } from './audit/append-failure.ts';
import type { LogKeys } from './audit/checkpoint-check.ts';
import type { CheckpointPlace } from './audit/checkpoint-place.ts';
import { type CheckpointRows, createCheckpointRows } from './audit/checkpoint-rows.ts';
import { type Checkpointer, createCheckpointer } from './audit/checkpointer.ts';
import { type Contradiction, findContradiction } from './audit/contradiction.ts';
import { type EpochEntry, readEpochs } from './audit/epoch-entries.ts';
import type { AuditReader } from './audit/reader.ts';
import { askWitness, type WitnessAddress } from './audit/witness-client.ts';
import { createWitnessFollowers } from './audit/witness-followers.ts';
import type { AuditWriter } from './audit/writer.ts';
import type { Config } from './config.ts';
import { epochOrigin, openCheckpoint, parseOrigin } from './core/audit/checkpoint.ts';
import { witnessName } from './core/audit/cosignature.ts';
import { formatNoteKey, type NoteKey, parseNoteKey } from './core/audit/note.ts';
import { isAppError } from './core/errors.ts';
import type { PostgresSettings } from './core/postgres-settings.ts';
import type { KeyCache } from './crypto/key-cache.ts';
import { createNoteSigner, type NoteSigner } from './crypto/note-signer.ts';
import type { DeclareEpochDeps } from './services/declare-epoch.ts';
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
  /** The same key under the name of every epoch of this log so far, newest last. */
  readonly logKeys: readonly string[];
  /** What a declaration of a new epoch asks and does; opens what it needs and closes it. */
  readonly epochs: DeclareEpochDeps['epochs'];
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
  readonly log: Pick<AuditReader, 'search'>;
  readonly logger: Logger;
};

/** Each epoch has a room of its own: sizes begin anew behind the part that the epochs share. */
const openFolder = async ({ dataDir }: Config, folder: string, epoch: number): Promise<JudgedPlace> => {
  const apart = await isOnAnotherFileSystem(folder, dataDir);
  const own = epoch === 1 ? folder : join(folder, `epoch-${epoch}`);
  const place = await openCheckpointFolder(own, Date.now());
  return { place, weakness: apart ? null : 'on the same file system as the data' };
};

const openBucket = async ({ s3, checkpointLockDays }: Config, epoch: number): Promise<JudgedPlace | null> => {
  if (s3 === null) return null;
  const { openS3Checkpoints } = await import('./storage/s3-checkpoints.ts');
  const place = await openS3Checkpoints({ ...s3, epoch, lockDays: checkpointLockDays, now: Date.now });
  return { place, weakness: place.locking ? null : 'without Object Lock' };
};

/** A command goes on without a bucket that is away: it may be about what needs none. */
const openPlaces = async (
  { config, purpose }: Pick<CheckpointOptions, 'config' | 'purpose'>,
  epoch: number,
): Promise<readonly JudgedPlace[]> => {
  const bucket = await openBucket(config, epoch).catch((error: unknown) => {
    if (purpose === 'command' && isAppError(error, 'storage_unavailable')) return null;
    throw error;
  });
  const folder = config.checkpointDir ?? (config.s3 === null ? join(config.dataDir, 'checkpoints') : null);
  return [bucket, folder === null ? null : await openFolder(config, folder, epoch)].filter(
    (one) => one !== null,
  );
};

type LogSigner = NoteSigner & { readonly earlier: () => Promise<readonly LogKeys[]> };

const keysOf = async ({ name, keys }: NoteSigner): Promise<LogKeys> => ({ origin: name, keys: await keys() });

/** Signs under the name of this epoch, and knows the names before. */
const signerOf = async (
  { keys, installationId }: CheckpointOptions,
  epoch: number,
): Promise<{ readonly signer: LogSigner; readonly all: readonly NoteSigner[] }> => {
  const all: NoteSigner[] = [];
  for (let n = 1; n <= epoch; n += 1)
    all.push(await createNoteSigner(keys, epochOrigin(`callvault.${installationId}`, n)));
  const earlier = (): Promise<readonly LogKeys[]> => Promise.all(all.slice(0, -1).map(keysOf));
  return { signer: { ...all.at(-1)!, earlier }, all };
};

/** Whether this installation's keys stand for the last epoch that the log tells of: the database alone could make one up. */
const isSealed = async (
  rows: Pick<CheckpointRows, 'state'>,
  signer: NoteSigner,
  entries: readonly EpochEntry[],
): Promise<boolean> => {
  const last = entries.at(-1);
  if (last === undefined) return true;
  const { newest } = await rows.state();
  return (
    newest !== null && newest.size > last.seq && openCheckpoint(newest.note, await keysOf(signer)) !== null
  );
};

const assertSealed = (sealed: boolean): void => {
  if (!sealed)
    throw logHalted(
      'The access log tells of a new epoch that nobody with the keys of this installation has opened: finish "callvault restore --declare", or keep this database as it is and call your security officer.',
    );
};

/** The first checkpoint of an epoch, in the database and in every place that can be reached. */
const sealEpoch = async (options: CheckpointOptions, epoch: number): Promise<void> => {
  const { signer } = await signerOf(options, epoch);
  const judged = await openPlaces(options, epoch);
  const checkpointer = createCheckpointer({
    rows: createCheckpointRows({ postgres: options.postgres, log: options.logger }),
    signer,
    places: judged.map(({ place }) => place),
    verifiedHead: () => null,
    // Told by the round's own rejection; this process appends nothing.
    halt: () => undefined,
    log: options.logger,
  });
  try {
    await checkpointer.round();
  } finally {
    await checkpointer.close();
  }
};

/** A place that cannot be asked now is no place without a contradiction: here it is waited for. */
const findIn = async (
  options: CheckpointOptions,
  rows: CheckpointRows,
  signer: LogSigner,
  epoch: number,
): Promise<Contradiction | null> => {
  const judged = await openPlaces({ ...options, purpose: 'serve' }, epoch);
  try {
    const known = { ...(await keysOf(signer)), earlier: await signer.earlier() };
    return await findContradiction(
      rows,
      judged.map(({ place }) => place),
      known,
    );
  } finally {
    for (const { place } of judged) await place.close();
  }
};

/** A log that contradicts its checkpoints stops the start; a command may look at it, with a writer that is halted. */
const compare = async (
  { resume }: Checkpointer,
  sealed: () => Promise<boolean>,
  { purpose, audit }: CheckpointOptions,
): Promise<void> => {
  try {
    assertSealed(await sealed());
    await resume();
  } catch (error) {
    if (purpose === 'serve' || !isAppError(error)) throw error;
    if (error.code === 'log_halted') audit.halt(error);
  }
};

/** The epoch under whose name the newest checkpoint is signed: known even when the entry that opened it has lost its body. */
const signedEpoch = async (
  { keys, installationId }: CheckpointOptions,
  rows: Pick<CheckpointRows, 'state'>,
): Promise<number> => {
  const { newest } = await rows.state();
  const { epoch } = parseOrigin(newest?.note.split('\n', 1)[0] ?? '');
  if (newest === null || epoch === 1) return 1;
  const signer = await createNoteSigner(keys, epochOrigin(`callvault.${installationId}`, epoch));
  return openCheckpoint(newest.note, await keysOf(signer)) === null ? 1 : epoch;
};

type Epochs = { readonly entries: readonly EpochEntry[]; readonly epoch: number };

/** Nobody knows the epoch of a log that cannot be read; a command goes on, about what needs no log. */
const epochsOf = async (options: CheckpointOptions, rows: CheckpointRows): Promise<Epochs> => {
  const { log, purpose, audit } = options;
  try {
    const entries = await readEpochs(log);
    const told = entries.at(-1)?.event.detail.epoch ?? 1;
    return { entries, epoch: Math.max(told, await signedEpoch(options, rows)) };
  } catch (error) {
    if (purpose === 'serve') await rows.close();
    if (purpose === 'serve' || !isAppError(error)) throw error;
    if (error.code === 'log_halted') audit.halt(error);
    return { entries: [], epoch: 1 };
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
  const judged = await openPlaces(options, epoch);
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
    const sealed = (): Promise<boolean> => isSealed(rows, signer, entries);
    await compare(checkpointer, sealed, options);
    const logKeys = await Promise.all(all.map(async ({ key }) => formatNoteKey(await key())));
    return {
      ...checkpointer,
      logKey: logKeys.at(-1)!,
      logKeys,
      epochs: {
        opened: async () => ({ entries, epoch, sealed: await sealed() }),
        contradiction: () => findIn(options, rows, signer, epoch),
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
