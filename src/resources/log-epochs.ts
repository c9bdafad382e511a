import type { Logger } from 'pino';
import { logHalted } from '../audit/append-failure.ts';
import type { LogKeys } from '../audit/checkpoint-check.ts';
import type { CheckpointPlace } from '../audit/checkpoint-place.ts';
import { type CheckpointRows, createCheckpointRows } from '../audit/checkpoint-rows.ts';
import { createCheckpointer } from '../audit/checkpointer.ts';
import { findContradiction } from '../audit/contradiction.ts';
import { type EpochEntry, readEpochs } from '../audit/epoch-entries.ts';
import type { AuditReader } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import type { Config } from '../config.ts';
import { epochOrigin, openCheckpoint, parseOrigin } from '../core/audit/checkpoint.ts';
import { isAppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import type { KeyCache } from '../crypto/key-cache.ts';
import { createNoteSigner, type NoteSigner } from '../crypto/note-signer.ts';
import type { Loss } from '../services/declare-epoch.ts';
import { openPlaces } from './checkpoint-places.ts';

/** What the epochs of a log are read, signed and compared with. */
export type EpochOptions = {
  readonly config: Config;
  readonly purpose: 'serve' | 'command';
  readonly postgres: PostgresSettings;
  readonly installationId: string;
  readonly keys: KeyCache;
  readonly audit: Pick<AuditWriter, 'verifiedHead' | 'halt'>;
  readonly log: Pick<AuditReader, 'search'>;
  readonly logger: Logger;
};

export type LogSigner = NoteSigner & { readonly earlier: () => Promise<readonly LogKeys[]> };

const keysOf = async ({ name, keys }: NoteSigner): Promise<LogKeys> => ({ origin: name, keys: await keys() });

/** Signs under the name of this epoch, and knows the names before. */
export const signerOf = async (
  { keys, installationId }: EpochOptions,
  epoch: number,
): Promise<{ readonly signer: LogSigner; readonly all: readonly NoteSigner[] }> => {
  const all: NoteSigner[] = [];
  for (let n = 1; n <= epoch; n += 1)
    all.push(await createNoteSigner(keys, epochOrigin(`callvault.${installationId}`, n)));
  const earlier = (): Promise<readonly LogKeys[]> => Promise.all(all.slice(0, -1).map(keysOf));
  return { signer: { ...all.at(-1)!, earlier }, all };
};

/** Whether this installation's keys stand for the last epoch that the log tells of: the database alone could make one up. */
export const isSealed = async (
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

export const assertSealed = (sealed: boolean): void => {
  if (!sealed)
    throw logHalted(
      'The access log tells of a new epoch that nobody with the keys of this installation has opened: finish "callvault restore --declare", or keep this database as it is and call your security officer.',
    );
};

/** The first checkpoint of an epoch, in the database and in every place that can be reached. */
export const sealEpoch = async (options: EpochOptions, epoch: number): Promise<void> => {
  const { signer } = await signerOf(options, epoch);
  const { judged } = await openPlaces(options, epoch);
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

/** How many rooms are looked into beyond this epoch's: epochs that a database older than they are knows nothing of. */
const MOST_LATER = 100;

type Room = { readonly epoch: number; readonly places: readonly CheckpointPlace[]; readonly empty: boolean };

/** A place that cannot be asked now is no place without a contradiction: here it is waited for. */
const openRoom = async (options: EpochOptions, epoch: number): Promise<Room> => {
  const { judged } = await openPlaces({ ...options, purpose: 'serve' }, epoch);
  const places = judged.map(({ place }) => place);
  for (const place of places) for await (const _ of place.sizes(0)) return { epoch, places, empty: false };
  return { epoch, places, empty: true };
};

/**
 * What the rooms of this epoch and of later ones contradict the log with, and the number that the next epoch gets: one that
 * no room bears, for a database that is restored twice may have forgotten that there was a second epoch already.
 */
export const findLoss = async (
  options: EpochOptions,
  rows: CheckpointRows,
  epoch: number,
): Promise<Loss | null> => {
  const rooms: Room[] = [];
  try {
    do rooms.push(await openRoom(options, epoch + rooms.length));
    while (rooms.length <= MOST_LATER && rooms.at(-1)?.empty === false);
    const next = Math.max(epoch + 1, rooms.at(-1)!.epoch);
    const { signer } = await signerOf(options, next);
    const known = { ...(await keysOf(signer)), earlier: await signer.earlier() };
    const found = await findContradiction(
      rows,
      rooms.flatMap(({ places }) => places),
      known,
    );
    return found && { ...found, next };
  } finally {
    for (const { places } of rooms) for (const place of places) await place.close();
  }
};

/** The epoch under whose name the newest checkpoint is signed: known even when the entry that opened it has lost its body. */
const signedEpoch = async (
  { keys, installationId }: EpochOptions,
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
export const epochsOf = async (options: EpochOptions, rows: CheckpointRows): Promise<Epochs> => {
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
