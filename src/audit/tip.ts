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

const readUpTo = async (
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

/** Others' commitments between the tip and the head before our append; the answer counts them from the size it was asked with. */
const followOthers = (
  source: Pick<Source, 'commitments'>,
  known: CompactRange,
  askedSize: number,
  answer: AppendAnswer,
): CompactRange | Promise<CompactRange> => {
  if (answer.others === null) return readUpTo(source, known, answer.previous.size);
  return extendByCommitments(known, answer.others.slice(known.size - askedSize));
};

/**
 * Checks the answer to an append: what others added continues the tip, our commitments continue that, and the result is
 * what the database states. Returns the new tip; throws `log_halted` otherwise.
 */
export const followAnswer = async (
  source: Pick<Source, 'commitments'>,
  known: CompactRange,
  asked: { readonly size: number; readonly commitments: readonly Buffer[] },
  answer: AppendAnswer,
): Promise<CompactRange> => {
  if (answer.previous.size < known.size)
    throw logHalted(`The access log had ${answer.previous.size} entries, ${known.size} were seen before.`);
  const before = await followOthers(source, known, asked.size, answer);
  if (!isStated(before, answer.previous))
    throw logHalted(
      `The access log of ${answer.previous.size} entries does not continue the ${known.size} seen before.`,
    );
  const after = extendByCommitments(before, asked.commitments);
  if (!isStated(after, answer.next) || !rootOf(after).equals(answer.next.root))
    throw logHalted(`The access log of ${answer.next.size} entries is not what was appended.`);
  return after;
};
