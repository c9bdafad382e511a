import { type Checkpoint, checkpointName, openCheckpoint } from '../core/audit/checkpoint.ts';
import { isStated, type StatedHead } from '../core/audit/head.ts';
import { type CompactRange, emptyRange, rootOf } from '../core/audit/merkle.ts';
import type { NoteKey } from '../core/audit/note.ts';
import { type AppError, isAppError } from '../core/errors.ts';
import { logHalted } from './append-failure.ts';
import type { CheckpointPlace } from './checkpoint-place.ts';
import type { CheckpointRows, KeptNote } from './checkpoint-rows.ts';
import { readUpTo } from './tip.ts';

/**
 * The comparisons of the checkpointer: the log as it lies in the database with what is known of it from elsewhere. All throw
 * `log_halted` when the two contradict each other.
 */
export type LogKeys = {
  readonly origin: string;
  readonly keys: readonly NoteKey[];
  /** The same for the epochs before: what was signed then still tells of the part that the epochs share. */
  readonly earlier?: readonly LogKeys[];
};

/** A size of the log whose root is known, and from where (ends a sentence). */
export type KnownRoot = { readonly size: number; readonly root: Buffer; readonly from: string };

/** What is kept as a checkpoint must be one of this log: whoever could put something else there could also take it away. */
export const ownCheckpoint = (kept: KeptNote, where: string, known: LogKeys): Checkpoint => {
  for (const one of [known, ...(known.earlier ?? [])]) {
    const checkpoint = openCheckpoint(kept.note, one);
    if (checkpoint?.size === kept.size) return checkpoint;
  }
  throw logHalted(
    `What is kept as the checkpoint of ${kept.size} entries in ${where} is not one of this log.`,
  );
};

const behind = (size: number, { size: known, from }: KnownRoot): AppError =>
  logHalted(`The access log has ${size} entries, but ${known} are known ${from}: its tail is missing.`);

const differs = ({ size, from }: KnownRoot): AppError =>
  logHalted(`The first ${size} entries of the access log are not those that are known ${from}.`);

type Source = Pick<CheckpointRows, 'commitments' | 'root' | 'range'>;

/** A hole in the stored tree is a contradiction here, for the tree was whole when it was signed. */
const wholly = async <T>(reading: Promise<T>): Promise<T> => {
  try {
    return await reading;
  } catch (cause) {
    if (isAppError(cause, 'integrity_failure')) throw logHalted(cause.message);
    throw cause;
  }
};

/**
 * Follows the log from a range that was verified to its stated head, through every root that is known on the way; what lies
 * before the range is looked up in the stored tree.
 */
export const followThrough = async (
  source: Source,
  range: CompactRange,
  head: StatedHead,
  known: readonly KnownRoot[],
): Promise<CompactRange> => {
  if (head.size < range.size)
    throw logHalted(`The access log has ${head.size} entries, ${range.size} were seen before.`);
  let reached = range;
  for (const stop of known.toSorted((a, b) => a.size - b.size)) {
    if (stop.size > head.size) throw behind(head.size, stop);
    const before = stop.size < reached.size;
    if (!before) reached = await readUpTo(source, reached, stop.size);
    const root = before ? await wholly(source.root(stop.size)) : rootOf(reached);
    if (!root.equals(stop.root)) throw differs(stop);
  }
  reached = await readUpTo(source, reached, head.size);
  if (isStated(reached, head) && rootOf(reached).equals(head.root)) return reached;
  throw logHalted(`The access log of ${head.size} entries does not continue the ${range.size} seen before.`);
};

/** The newest checkpoint that a place keeps, from a size on. */
export const newestIn = async (
  place: CheckpointPlace,
  { from, known }: { readonly from: number; readonly known: LogKeys },
): Promise<KnownRoot | null> => {
  let newest = 0;
  for await (const size of place.sizes(from)) newest = size;
  if (newest === 0) return null;
  const note = await place.read(checkpointName(newest));
  const { size, root } = ownCheckpoint({ size: newest, note }, place.where, known);
  return { size, root, from: `from a checkpoint in ${place.where}` };
};

/**
 * The range to go on from: that of the newest known root, read from the stored tree and compared with it; the others are
 * compared as well.
 */
export const resumeRange = async (
  source: Source,
  head: StatedHead,
  known: readonly KnownRoot[],
): Promise<CompactRange> => {
  const [newest, ...others] = known.toSorted((a, b) => b.size - a.size);
  if (newest === undefined) return followThrough(source, emptyRange, head, []);
  if (newest.size > head.size) throw behind(head.size, newest);
  const range = await wholly(source.range(newest.size));
  if (!rootOf(range).equals(newest.root)) throw differs(newest);
  return followThrough(source, range, head, others);
};
