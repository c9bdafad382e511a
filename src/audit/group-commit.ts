import type { CompactRange } from '../core/audit/merkle.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AppendAnswer, AppendConnection } from './append-connection.ts';
import { appendFailureOf, causeOf, logHalted, logUnavailable } from './append-failure.ts';
import type { AppendQueue, Pending } from './append-queue.ts';
import { mintReceipt } from './mint.ts';
import { catchUp, type Expected, expectTip, followAnswer } from './tip.ts';

/** What a session works on. The tip moves with every answer that was checked. */
export type CommitRun = {
  readonly session: AppendConnection;
  readonly queue: AppendQueue;
  tip: CompactRange;
  /** Events whose batch was sent and never answered: in the log or not. */
  readonly unsettled: Pending[];
  /** Told every tip that was checked. */
  readonly onTip: (tip: CompactRange) => void;
  /** Told when the database refused a batch that had nothing wrong with it. */
  readonly onRefused: () => void;
  /** Asked when the database refused a single event for what is in it: whether it would refuse any event. */
  readonly refusesAll: () => Promise<boolean>;
};

type Sent = {
  readonly batch: readonly Pending[];
  readonly expected: Expected;
  readonly answered: Promise<AppendAnswer>;
};

/** Sends a batch and, while the database is at work, computes what it should come to. */
const send = ({ session, tip }: CommitRun, batch: readonly Pending[]): Sent => {
  const answered = session.append(
    tip.size,
    batch.map((pending) => pending.salt),
    batch.map((pending) => pending.body),
  );
  // Looked at in a moment; until then it must not count as unhandled.
  answered.catch(() => undefined);
  const commitments = batch.map((pending) => pending.commitment);
  return { batch, answered, expected: expectTip(tip, commitments) };
};

/** Moves the tip to what was appended and checked; returns what acknowledges it. */
const check = async (run: CommitRun, { batch, expected, answered }: Sent): Promise<() => void> => {
  const answer = await answered;
  run.tip = await followAnswer(run.session, expected, answer);
  run.onTip(run.tip);
  return () => {
    batch.forEach((pending, i) => {
      pending.resolve(mintReceipt(pending.event, answer.previous.size + i));
    });
  };
};

/** Resolves those of `batch` that are in the log after all; returns the others. Throws `log_halted`, or the session's error. */
export const settleCommitted = async (
  run: CommitRun,
  batch: readonly Pending[],
): Promise<readonly Pending[]> => {
  const missing = new Map(batch.map((pending) => [pending.commitment.toString('hex'), pending]));
  const found: [Pending, number][] = [];
  run.tip = await catchUp(run.session, run.tip, (commitment, seq) => {
    const key = missing.size === 0 ? '' : commitment.toString('hex');
    const pending = missing.get(key);
    if (pending === undefined) return;
    missing.delete(key);
    found.push([pending, seq]);
  });
  for (const [pending, seq] of found) pending.resolve(mintReceipt(pending.event, seq));
  return [...missing.values()];
};

/** A single event whose id the log has already: perhaps from its own first copy, sent on a session that was lost. */
const refuseExisting = async (run: CommitRun, pending: Pending): Promise<void> => {
  const foreign = pending.retried ? await settleCommitted(run, [pending]) : [pending];
  if (foreign.length > 0)
    pending.reject(new AppError('event_exists', 'The access log has an entry of this event already.'));
};

/** What the database refuses to one batch it refuses to the next: nobody waits for the same answer. */
const refuseAll = ({ queue }: CommitRun, batch: readonly Pending[], error: unknown): void => {
  const unavailable = logUnavailable('The access log cannot be written now.', error);
  for (const pending of [...batch, ...queue.drain()]) pending.reject(unavailable);
};

/** The batch was refused for something in it: alone, an event is refused, or all are; together, each half is tried by itself. */
const isolate = async (
  run: CommitRun,
  batch: readonly Pending[],
  exists: boolean,
  error: unknown,
): Promise<void> => {
  const [only, ...rest] = batch;
  if (only !== undefined && rest.length === 0) {
    if (exists) return refuseExisting(run, only);
    // A constraint that every entry breaks, such as one that somebody added, is no fault of the event.
    if (await run.refusesAll()) return refuseAll(run, batch, error);
    only.reject(
      new AppError('internal', 'The access log cannot store this event.', { cause: causeOf(error) }),
    );
    return;
  }
  const middle = batch.length >> 1;
  run.queue.putBack(batch.slice(middle));
  run.queue.putBack(batch.slice(0, middle));
};

/** Settles what can be settled; throws what leaves the batch's fate open. */
const settleByFailure = async (run: CommitRun, batch: readonly Pending[], error: unknown): Promise<void> => {
  const failure = appendFailureOf(error);
  switch (failure) {
    case 'contradiction':
      throw logHalted('The access log is not the one this process has seen.', error);
    case 'lost':
      throw error;
    case 'exists':
    case 'entry':
      return isolate(run, batch, failure === 'exists', error);
    case 'unavailable':
      run.onRefused();
      refuseAll(run, batch, error);
  }
};

const settleFailed = async (run: CommitRun, batch: readonly Pending[], error: unknown): Promise<void> => {
  try {
    await settleByFailure(run, batch, error);
  } catch (open) {
    // Committed or not, and if so not checked.
    run.unsettled.push(...batch);
    if (isAppError(open, 'log_halted')) throw open;
    await run.session.end();
  }
};

const nobody = (): void => undefined;

/**
 * Group commit without lingering: what waits goes in one batch, and what comes meanwhile in the next. One batch at a time,
 * because two under way are two commits for the same events, and on a slow disk the commit is what costs. Resolves when
 * nothing waits or the session is lost (see `unsettled`); rejects with `log_halted`.
 */
export const commitWaiting = async (run: CommitRun): Promise<void> => {
  let acknowledge = nobody;
  for (;;) {
    const batch = run.session.lost() ? null : run.queue.take();
    const sent = batch && send(run, batch);
    // The database has work again before those who waited for the last batch get theirs.
    acknowledge();
    if (sent === null) return;
    acknowledge = await check(run, sent).catch(async (error: unknown) => {
      await settleFailed(run, sent.batch, error);
      return nobody;
    });
  }
};
