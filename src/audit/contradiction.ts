import { checkpointName } from '../core/audit/checkpoint.ts';
import { logHalted } from './append-failure.ts';
import { type LogKeys, ownCheckpoint } from './checkpoint-check.ts';
import type { CheckpointPlace } from './checkpoint-place.ts';
import type { CheckpointRows } from './checkpoint-rows.ts';
import type { TreeHead } from './log-evidence.ts';

/** A checkpoint kept elsewhere that the log is not, or no longer, the beginning of. */
export type Contradiction = {
  readonly where: string;
  /** The newest that is kept there. */
  readonly anchored: TreeHead;
  /** The log as the database has it. */
  readonly head: TreeHead;
  /** Up to here the two are proven to be the same; what follows in the place is lost. */
  readonly lostFrom: number;
};

type Source = Pick<CheckpointRows, 'state' | 'root'>;

const sizesIn = async (place: CheckpointPlace): Promise<readonly number[]> => {
  const sizes: number[] = [];
  for await (const size of place.sizes(0)) sizes.push(size);
  return sizes;
};

/** The last of ascending sizes that `agrees` holds for, when it holds for all up to some point; 0 for none. */
const lastAgreeing = async (
  sizes: readonly number[],
  agrees: (size: number) => Promise<boolean>,
): Promise<number> => {
  let [low, high] = [0, sizes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await agrees(sizes[middle]!)) low = middle + 1;
    else high = middle;
  }
  return sizes[low - 1] ?? 0;
};

const compare = async (
  source: Source,
  place: CheckpointPlace,
  known: LogKeys,
): Promise<Contradiction | null> => {
  const { head } = await source.state();
  const sizes = await sizesIn(place);
  const newest = sizes.at(-1);
  if (newest === undefined) return null;
  const rootIn = async (size: number): Promise<Buffer> =>
    ownCheckpoint({ size, note: await place.read(checkpointName(size)) }, place.where, known).root;
  const agrees = async (size: number): Promise<boolean> =>
    size <= head.size && (await source.root(size)).equals(await rootIn(size));
  const anchored = { size: newest, root: await rootIn(newest) };
  if (await agrees(newest)) return null;
  const { size, root } = head;
  return { where: place.where, anchored, head: { size, root }, lostFrom: await lastAgreeing(sizes, agrees) };
};

/**
 * What the places contradict the log with, the longest of them, and up to where any of them agrees; null when none does. Rejects with `log_halted` when a place
 * or the database itself keeps what cannot come from a restored backup, and with what the places throw.
 */
export const findContradiction = async (
  source: Source,
  places: readonly CheckpointPlace[],
  known: LogKeys,
): Promise<Contradiction | null> => {
  const { head, newest } = await source.state();
  if (newest !== null) {
    const own = ownCheckpoint(newest, 'the database', known);
    if (own.size > head.size || !(await source.root(own.size)).equals(own.root))
      throw logHalted(
        'The database keeps a checkpoint of its own that the log in it is not: that is no restored backup. Keep this database as it is and call your security officer.',
      );
  }
  const found: Contradiction[] = [];
  for (const place of places) {
    const one = await compare(source, place, known);
    if (one !== null) found.push(one);
  }
  const [longest] = found.toSorted((a, b) => b.anchored.size - a.anchored.size);
  return longest === undefined
    ? null
    : { ...longest, lostFrom: Math.max(...found.map(({ lostFrom }) => lostFrom)) };
};
