import { checkpointName, formatCheckpoint } from '../core/audit/checkpoint.ts';
import { type CompactRange, rootOf } from '../core/audit/merkle.ts';
import { formatNote, type NoteKey, type NoteSignature } from '../core/audit/note.ts';
import { type AppError, isAppError } from '../core/errors.ts';
import { causeOf, logHalted } from './append-failure.ts';
import type { AuditLogger } from './audit-logger.ts';
import {
  followThrough,
  type KnownRoot,
  type LogKeys,
  newestIn,
  ownCheckpoint,
  resumeRange,
} from './checkpoint-check.ts';
import type { CheckpointPlace } from './checkpoint-place.ts';
import type { CheckpointRows, KeptNote } from './checkpoint-rows.ts';
import type { AuditHead } from './reader.ts';
import type { WitnessFollowers } from './witness-followers.ts';

/** What signs checkpoints; its name is the log's. */
export type CheckpointSigner = {
  readonly name: string;
  readonly keys: () => Promise<readonly NoteKey[]>;
  readonly sign: (text: string) => Promise<NoteSignature>;
  /** Names and keys of the epochs before this one. */
  readonly earlier?: () => Promise<readonly LogKeys[]>;
};

export type CheckpointerDeps = {
  readonly rows: CheckpointRows;
  readonly signer: CheckpointSigner;
  readonly places: readonly CheckpointPlace[];
  /** The newest head that the writer of this process has verified itself. */
  readonly verifiedHead: () => AuditHead | null;
  /** Stops the writer of this process for good. */
  readonly halt: (error: AppError) => void;
  readonly log: AuditLogger;
  /** Told of a place that cannot be asked, with which the log is then not compared; without it that is a rejection. */
  readonly onAway?: (place: CheckpointPlace, error: AppError) => void;
  /** Who are shown every checkpoint that is kept. */
  readonly witnesses?: Pick<WitnessFollowers, 'offer' | 'close'>;
};

export type Checkpointer = {
  /**
   * Compares the log with every checkpoint that is kept, in the database and elsewhere. To be awaited before anything is
   * appended. Rejects with `log_halted`, and has halted the writer, when the log is behind them or another; with
   * `log_unavailable` or, where nobody is told of places that are away, `storage_unavailable` when that cannot be known.
   */
  readonly resume: () => Promise<void>;
  /**
   * One round: compares, and when the log has grown signs, keeps and copies a checkpoint. Rejects as `resume` does, except
   * that a place that is away only delays its copy.
   */
  readonly round: () => Promise<void>;
  /** Rounds from now on, the first at once. */
  readonly start: () => void;
  /** Ends the rounds, with a last one when there were any or `lastRound` asks for it. Never rejects; safe to call twice. */
  readonly close: (options?: { readonly lastRound?: boolean }) => Promise<void>;
  /** What is copied to each place, as far as this process knows. */
  readonly copies: () => readonly { readonly where: string; readonly size: number }[];
};

/** An entry lies beyond the reach of whoever has the database at most this long after it was written. */
const ROUND_MS = 10_000;

type Machine = CheckpointerDeps & {
  range: CompactRange | null;
  kept: KeptNote | null;
  halted: AppError | null;
  readonly copied: Map<CheckpointPlace, number>;
  running: Promise<void> | null;
  timer: NodeJS.Timeout | null;
  closing: Promise<void> | null;
};

const keysOf = async ({ signer }: Machine): Promise<LogKeys> => ({
  origin: signer.name,
  keys: await signer.keys(),
  earlier: (await signer.earlier?.()) ?? [],
});

const IN_DATABASE = 'the database';

const rootOfNote = (kept: KeptNote, where: string, known: LogKeys): KnownRoot => {
  const { size, root } = ownCheckpoint(kept, where, known);
  return { size, root, from: `from a checkpoint in ${where}` };
};

/** Nothing is appended any more, and everybody is told why. */
const alarm = (machine: Machine, error: AppError): void => {
  if (machine.halted !== null) return;
  machine.halted = error;
  machine.halt(error);
  machine.log.error(
    { err: error, size: machine.range?.size, root: machine.range && rootOf(machine.range).toString('hex') },
    'ALARM: the access log is not the one that its checkpoints tell of; nothing is appended any more',
  );
};

/** A machine that has raised its alarm does nothing more. */
const guarded = async (machine: Machine, work: () => Promise<void>): Promise<void> => {
  if (machine.halted !== null) throw machine.halted;
  try {
    await work();
  } catch (error) {
    if (isAppError(error, 'log_halted')) alarm(machine, error);
    throw error;
  }
};

/** False: the place cannot be asked, and whoever opened this goes on without it. */
const newestOf = async (
  { onAway }: Machine,
  place: CheckpointPlace,
  asked: { readonly from: number; readonly known: LogKeys },
): Promise<KnownRoot | null | false> => {
  try {
    return await newestIn(place, asked);
  } catch (error) {
    if (onAway === undefined || !isAppError(error, 'storage_unavailable')) throw error;
    onAway(place, error);
    return false;
  }
};

const resume = async (machine: Machine): Promise<void> => {
  const { rows, places } = machine;
  const known = await keysOf(machine);
  const early = await rows.state();
  const found: KnownRoot[] = [];
  for (const place of places) {
    const newest = await newestOf(machine, place, { from: early.newest?.size ?? 0, known });
    if (newest === false) continue;
    if (newest !== null) found.push(newest);
    // A crash before a copy does this, and so does a place that is new; a folder that is not mounted does it too.
    else if (early.newest !== null)
      machine.log.warn(
        { what: place.where, size: early.newest.size },
        'A place of checkpoints does not have the newest one: is it the one that it was?',
      );
    machine.copied.set(place, newest?.size ?? 0);
  }
  // Read after the places: another process may have appended and kept a checkpoint meanwhile, and that is no contradiction.
  const { head, newest } = await rows.state();
  if (newest !== null) found.push(rootOfNote(newest, IN_DATABASE, known));
  machine.range = await resumeRange(rows, head, found);
  machine.kept = newest;
};

/** Roots that the log must have. */
const knownNow = (
  { kept }: Machine,
  { newest, seen, known }: { newest: KeptNote | null; seen: AuditHead | null; known: LogKeys },
): readonly KnownRoot[] => {
  if ((newest?.size ?? 0) < (kept?.size ?? 0))
    throw logHalted(
      `The checkpoint of ${kept?.size} entries was kept in the database and is not there any more.`,
    );
  const own = seen && { size: seen.size, root: Buffer.from(seen.root, 'hex'), from: 'to this process' };
  const stored = newest && rootOfNote(newest, IN_DATABASE, known);
  return [own, stored].filter((root) => root !== null);
};

/** Signs the range and keeps the checkpoint; two processes that do so at once sign the same text. */
const sign = async ({ rows, signer }: Machine, range: CompactRange, known: LogKeys): Promise<KeptNote> => {
  const { size } = range;
  const text = formatCheckpoint({ origin: signer.name, size, root: rootOf(range) });
  const note = await rows.keep(size, formatNote({ text, signatures: [await signer.sign(text)] }));
  assertSame(range, { size, note }, IN_DATABASE, known);
  return { size, note };
};

const assertSame = (range: CompactRange, kept: KeptNote, where: string, known: LogKeys): void => {
  if (!ownCheckpoint(kept, where, known).root.equals(rootOf(range)))
    throw logHalted(
      `The checkpoint of ${kept.size} entries in ${where} has another root than the access log.`,
    );
};

/** A place that is away is asked again in the next round; a place that holds something else is a contradiction. */
const copy = async (machine: Machine, range: CompactRange, kept: KeptNote, known: LogKeys): Promise<void> => {
  for (const place of machine.places) {
    if (machine.copied.get(place) === kept.size) continue;
    try {
      const note = await place.keep(checkpointName(kept.size), kept.note);
      assertSame(range, { size: kept.size, note }, place.where, known);
      machine.copied.set(place, kept.size);
    } catch (error) {
      if (isAppError(error, 'log_halted')) throw error;
      machine.log.warn(
        { err: error, size: kept.size },
        'A checkpoint could not be copied; it is tried again',
      );
    }
  }
};

const round = async (machine: Machine): Promise<void> => {
  const { rows } = machine;
  if (machine.range === null) await resume(machine);
  const known = await keysOf(machine);
  // Before the snapshot, so that an honest head is at least as large.
  const seen = machine.verifiedHead();
  const { head, newest } = await rows.state();
  const range = await followThrough(rows, machine.range!, head, knownNow(machine, { newest, seen, known }));
  machine.range = range;
  if (range.size === 0) return;
  const kept = newest?.size === range.size ? newest : await sign(machine, range, known);
  machine.kept = kept;
  machine.witnesses?.offer(kept);
  await copy(machine, range, kept, known);
};

/** One at a time: whoever asks meanwhile gets the one that runs. */
const oneRound = (machine: Machine): Promise<void> => {
  machine.running ??= guarded(machine, () => round(machine)).finally(() => {
    machine.running = null;
  });
  return machine.running;
};

const quietRound = async (machine: Machine): Promise<void> => {
  try {
    await oneRound(machine);
  } catch (error) {
    // The alarm has been raised and said; what is merely away is asked again.
    if (machine.halted === null)
      machine.log.warn({ err: causeOf(error) }, 'No checkpoint could be made; it is tried again');
  }
};

const close = async (machine: Machine, lastRound: boolean): Promise<void> => {
  const last = lastRound || machine.timer !== null;
  if (machine.timer !== null) clearInterval(machine.timer);
  machine.timer = null;
  await machine.running?.catch(() => undefined);
  if (last) await quietRound(machine);
  await machine.witnesses?.close();
  for (const place of machine.places) await place.close();
  await machine.rows.close();
};

/** Follows the log with a compact range of its own, so that no round reads what an earlier one has read. */
export const createCheckpointer = (deps: CheckpointerDeps): Checkpointer => {
  const machine: Machine = {
    ...deps,
    range: null,
    kept: null,
    halted: null,
    copied: new Map(),
    running: null,
    timer: null,
    closing: null,
  };
  return {
    resume: () => guarded(machine, () => resume(machine)),
    round: () => oneRound(machine),
    start: () => {
      machine.timer = setInterval(() => void quietRound(machine), ROUND_MS);
      void quietRound(machine);
    },
    close: ({ lastRound = false } = {}) => {
      machine.closing ??= close(machine, lastRound);
      return machine.closing;
    },
    copies: () => deps.places.map((place) => ({ where: place.where, size: machine.copied.get(place) ?? 0 })),
  };
};
