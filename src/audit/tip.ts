import { extendByCommitments, isStated, readHead } from '../core/audit/head.ts';
import { type CompactRange, rootOf } from '../core/audit/merkle.ts';
import type { AppendAnswer, AppendConnection } from './append-connection.ts';
import { logHalted } from './append-failure.ts';

/** Leaves read at a time when more were added than an answer carries. */
const PAGE = 10_000;

/** Called for every commitment that is read while catching up. */
export type OnCommitment = (commitment: Buffer, seq: number) => void;

type Source = Pick<AppendConnection, 'head' | 'commitments'>;

/** The first head a process sees: it can only be checked against itself. Throws `log_halted` when it does not hold together. */
export const adoptTip = async (source: Pick<Source, 'head'>): Promise<CompactRange> => {
  const range = readHead(await source.head());
  if (range === null) throw logHalted('The head of the access log does not hold together.');
  return range;
};

/** Extends the range by the leaves up to `size`, page by page. Throws `log_halted` when one of them is missing. */
export const readUpTo = async (
  source: Pick<Source, 'commitments'>,
  known: CompactRange,
  size: number,
  onCommitment?: OnCommitment,
): Promise<CompactRange> => {
  let range = known;
  while (range.size < size) {
    const to = Math.min(range.size + PAGE, size);
    const commitments = await source.commitments(range.size, to);
    if (commitments.length !== to - range.size)
      throw logHalted(`The access log misses entries between ${range.size} and ${to}.`);
    const from = range.size;
    if (onCommitment !== undefined)
      commitments.forEach((commitment, i) => {
        onCommitment(commitment, from + i);
      });
    range = extendByCommitments(range, commitments);
  }
  return range;
};

/**
 * Follows the log from the tip this process has verified to its present head, leaf by leaf. Throws `log_halted` when the
 * log has become shorter or other than it was.
 */
export const catchUp = async (
  source: Source,
  known: CompactRange,
  onCommitment: OnCommitment,
): Promise<CompactRange> => {
  const stated = await source.head();
  if (stated.size < known.size)
    throw logHalted(`The access log has ${stated.size} entries, ${known.size} were seen before.`);
  const range = await readUpTo(source, known, stated.size, onCommitment);
  if (!isStated(range, stated) || !rootOf(range).equals(stated.root))
    throw logHalted(
      `The access log of ${stated.size} entries does not continue the ${known.size} seen before.`,
    );
  return range;
};

/** The tip after our append if nobody else appends in between: computed while the database is at work. */
export type Expected = {
  readonly known: CompactRange;
  readonly commitments: readonly Buffer[];
  readonly after: CompactRange;
};

export const expectTip = (known: CompactRange, commitments: readonly Buffer[]): Expected => ({
  known,
  commitments,
  after: extendByCommitments(known, commitments),
});

/**
 * Checks the answer to an append: what others added continues the tip, our commitments continue that, and the result is
 * what the database states. Returns the new tip; throws `log_halted` otherwise.
 */
export const followAnswer = async (
  source: Pick<Source, 'commitments'>,
  { known, commitments, after }: Expected,
  { previous, others, next }: AppendAnswer,
): Promise<CompactRange> => {
  const before =
    others === null ? await readUpTo(source, known, previous.size) : extendByCommitments(known, others);
  if (!isStated(before, previous))
    throw logHalted(
      `The access log of ${previous.size} entries does not continue the ${known.size} seen before.`,
    );
  const tip = before.size === known.size ? after : extendByCommitments(before, commitments);
  if (!isStated(tip, next) || !rootOf(tip).equals(next.root))
    throw logHalted(`The access log of ${next.size} entries is not what was appended.`);
  return tip;
};
