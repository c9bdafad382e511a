import type { CompactRange } from '../core/audit/merkle.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { type AppendAnswer, type AppendConnection, PIPELINE_DEPTH } from './append-connection.ts';
import { appendFailureOf, causeOf, logHalted, logUnavailable } from './append-failure.ts';
import type { AppendQueue, Pending } from './append-queue.ts';
import { mintReceipt } from './mint.ts';
import { catchUp, followAnswer } from './tip.ts';

/** What a session works on. The tip moves with every answer that was checked. */
export type CommitRun = {
  readonly session: AppendConnection;
  readonly queue: AppendQueue;
  tip: CompactRange;
  /** Events whose batch was sent and never answered: in the log or not. */
  readonly unsettled: Pending[];
  /** Events that were refused as existing and may be their own first copy; looked up when nothing is under way. */
  readonly doubtful: Pending[];
  /** Told every tip that was checked. */
  readonly onTip: (tip: CompactRange) => void;
};

type Answered = { readonly answer: AppendAnswer } | { readonly error: unknown };

/** A batch under way, and the size of the log as we knew it when it went. */
type Sent = {
  readonly batch: readonly Pending[];
  readonly size: number;
  readonly answered: Promise<Answered>;
};

const send = ({ session, tip }: CommitRun, batch: readonly Pending[]): Sent => ({
  batch,
  size: tip.size,
  answered: session
    .append(
      tip.size,
      batch.map((pending) => pending.salt),
      batch.map((pending) => pending.body),
    )
    .then(
      (answer) => ({ answer }),
      (error: unknown) => ({ error }),
    ),
});

const acknowledge = async (run: CommitRun, { batch, size }: Sent, answer: AppendAnswer): Promise<void> => {
  const commitments = batch.map((pending) => pending.commitment);
  run.tip = await followAnswer(run.session, run.tip, { size, commitments }, answer);
  run.onTip(run.tip);
  batch.forEach((pending, i) => {
    pending.resolve(mintReceipt(pending.event, answer.previous.size + i));
  });
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

const eventExists = (): AppError =>
  new AppError('event_exists', 'The access log has an entry of this event already.');

/** A single event the database will not take. */
const refuseOne = (run: CommitRun, pending: Pending, exists: boolean, error: unknown): void => {
  if (exists && pending.retried) run.doubtful.push(pending);
  else if (exists) pending.reject(eventExists());
  else
    pending.reject(
      new AppError('internal', 'The access log cannot store this event.', { cause: causeOf(error) }),
    );
};

/** Events sent again after a lost session that ran into an entry of the same id: perhaps their own first copy. */
const settleDoubtful = async (run: CommitRun): Promise<void> => {
  const doubtful = run.doubtful.splice(0);
  try {
    for (const pending of await settleCommitted(run, doubtful)) pending.reject(eventExists());
  } catch (error) {
    await setAside(run, doubtful, error);
  }
};

/** The fate of these is open. Throws on only what halts the log; anything else means that the session cannot be used further. */
const setAside = async (run: CommitRun, batch: readonly Pending[], error: unknown): Promise<void> => {
  run.unsettled.push(...batch);
  if (isAppError(error, 'log_halted')) throw error;
  await run.session.end();
};

const refuse = async (run: CommitRun, batch: readonly Pending[], error: unknown): Promise<void> => {
  const failure = appendFailureOf(error);
  switch (failure) {
    case 'contradiction':
      throw logHalted('The access log is not the one this process has seen.', error);
    case 'lost':
      return setAside(run, batch, error);
    case 'unavailable': {
      // What the database refuses to one batch it refuses to the next: nobody waits for the same answer.
      const unavailable = logUnavailable('The access log cannot be written now.', error);
      for (const pending of [...batch, ...run.queue.drain()]) pending.reject(unavailable);
      return;
    }
    case 'exists':
    case 'entry': {
      if (batch.length === 1) return refuseOne(run, batch[0]!, failure === 'exists', error);
      const middle = batch.length >> 1;
      run.queue.putBack(batch.slice(middle));
      run.queue.putBack(batch.slice(0, middle));
    }
  }
};

const settle = async (run: CommitRun, sent: Sent): Promise<void> => {
  const answered = await sent.answered;
  try {
    if ('error' in answered) await refuse(run, sent.batch, answered.error);
    else await acknowledge(run, sent, answered.answer);
  } catch (error) {
    await setAside(run, sent.batch, error);
  }
};

/**
 * Group commit without lingering: sends what waits, and what has come meanwhile next. Resolves when nothing waits or the
 * session is lost (see `unsettled`); rejects with `log_halted`. Settles every event whose fate it learns.
 */
export const commitWaiting = async (run: CommitRun): Promise<void> => {
  const underWay: Sent[] = [];
  try {
    for (;;) {
      while (underWay.length < PIPELINE_DEPTH && run.doubtful.length === 0 && !run.session.lost()) {
        // With nothing under way, half goes and half follows at once: the server is never without work while we check.
        const batch = run.queue.take(underWay.length === 0 ? 'half' : undefined);
        if (batch === null) break;
        underWay.push(send(run, batch));
      }
      const sent = underWay.shift();
      if (sent !== undefined) await settle(run, sent);
      else if (run.doubtful.length > 0) await settleDoubtful(run);
      else return;
    }
  } finally {
    run.unsettled.push(...underWay.flatMap(({ batch }) => batch), ...run.doubtful);
  }
};
