import { commitmentOf } from '../core/audit/commitment.ts';
import { encodeEvent } from '../core/audit/entry.ts';
import { type CompactRange, rootOf } from '../core/audit/merkle.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AuditEvent } from '../core/events.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { type AppendConnection, openAppendConnection } from './append-connection.ts';
import { causeOf, logHalted, logUnavailable } from './append-failure.ts';
import { type AppendQueue, createAppendQueue, type QueueLimits } from './append-queue.ts';
import { type Appendable, createAppendable } from './appendable.ts';
import type { AuditLogger } from './audit-logger.ts';
import { type CommitRun, commitWaiting, settleCommitted } from './group-commit.ts';
import { createHeadReport, type HeadReport } from './head-report.ts';
import { type AuditHead, type AuditReader, createAuditReader } from './reader.ts';
import type { Receipt } from './receipt.ts';
import { createSalts } from './salts.ts';
import { adoptTip } from './tip.ts';

/** `away`: the database cannot be reached; appends fail at once. `halted`: the log contradicts what this process has seen. */
export type AuditWriterState = 'ready' | 'away' | 'halted' | 'closed';

export type AuditWriter = AuditReader & {
  /**
   * Resolves after COMMIT and after this process has recomputed the tree over its own leaves. Rejects with
   * `log_unavailable` (whether the entry is in the log may be unknown: `find` tells), `log_halted`, `event_exists`, or
   * `internal` for an event that cannot be encoded, or stored where another could be.
   */
  readonly append: (event: AuditEvent) => Promise<Receipt>;
  readonly state: () => AuditWriterState;
  /**
   * Resolves while entries can be written: one was, or a probe found that one could be, at most `believedMs` (5 s) ago,
   * and none was refused since. Asks the database at most once in that time, for everybody; after a refusal at most once
   * a second. Rejects with `log_unavailable` or `log_halted`.
   */
  readonly assertAppendable: (believedMs?: number) => Promise<void>;
  /** The newest head this process has verified itself; null before the first connection. */
  readonly verifiedHead: () => AuditHead | null;
  /**
   * Stops this writer for good, because somebody else has found that the log is not what it was: nothing is appended any
   * more, and who waits is refused with `error`, though what was under way may have been committed.
   */
  readonly halt: (error: AppError) => void;
};

export type WriterLimits = QueueLimits & {
  /** After this long the server gives an append up. */
  readonly statementMs: number;
  /** Pauses between attempts to reach the database; the last one repeats. */
  readonly reconnectMs: readonly number[];
  /** A head is in this process's log at most this long after it was verified. */
  readonly headReportMs: number;
};

export type AuditWriterOptions = {
  readonly postgres: PostgresSettings;
  /** Name of this instance, kept with every batch; never a person. `[a-z0-9._-]`, at most 64. */
  readonly writer: string;
  readonly randomBytes: (bytes: number) => Buffer;
  readonly log: AuditLogger;
  /** Where heads are written; what `log` leaves out as unimportant must not be left out here. `log` when absent. */
  readonly headLog?: Pick<AuditLogger, 'info'>;
  readonly limits?: Partial<WriterLimits>;
  /** Told every head this process has verified. */
  readonly onHead?: (head: AuditHead) => void;
};

const defaultLimits: WriterLimits = {
  queueEvents: 10_000,
  queueBytes: 16 * 1024 * 1024,
  batchEvents: 256,
  batchBytes: 1024 * 1024,
  statementMs: 5_000,
  reconnectMs: [100, 250, 500, 1_000, 2_000, 5_000],
  headReportMs: 10_000,
};

/** Everything that changes while a writer lives. */
type Machine = {
  readonly options: AuditWriterOptions;
  readonly limits: WriterLimits;
  readonly queue: AppendQueue;
  readonly report: HeadReport;
  readonly appendable: Appendable;
  readonly nextSalt: () => Buffer;
  /** Why this writer was stopped from outside. */
  halted: AppError | null;
  /** `connecting`: appends wait; a failed attempt refuses them. */
  state: AuditWriterState | 'connecting';
  /** The present session, or the last one: its tip and its unsettled events are what the next one starts from. */
  run: CommitRun | null;
  failures: number;
  pause: NodeJS.Timeout | null;
  working: Promise<void> | null;
  /** The attempt to connect that is under way. */
  opening: Promise<void> | null;
  closing: boolean;
};

const headOf = (range: CompactRange): AuditHead => ({
  size: range.size,
  root: rootOf(range).toString('hex'),
});

const rejectAll = ({ run, queue }: Machine, error: Error): void => {
  for (const pending of [...(run?.unsettled.splice(0) ?? []), ...queue.drain()]) pending.reject(error);
};

const halt = async (machine: Machine, error: AppError): Promise<void> => {
  const { run, options } = machine;
  machine.state = 'halted';
  options.log.error(
    { err: error, verified: run && headOf(run.tip) },
    'The access log contradicts what this process has seen; nothing is appended any more',
  );
  rejectAll(machine, error);
  await run?.session.end();
};

const stayAway = (machine: Machine, error: unknown): void => {
  const { reconnectMs } = machine.limits;
  machine.state = 'away';
  machine.appendable.refused();
  machine.options.log.warn({ err: causeOf(error) }, 'The access log cannot be reached');
  rejectAll(machine, logUnavailable('The access log cannot be reached now.', error));
  if (machine.closing) return;
  const pause = reconnectMs[Math.min(machine.failures, reconnectMs.length - 1)];
  machine.failures += 1;
  machine.pause = setTimeout(() => {
    machine.pause = null;
    wake(machine);
  }, pause).unref();
};

/** Follows the log to its head and learns what became of the events whose session was lost. */
const openRun = async (machine: Machine, session: AppendConnection): Promise<CommitRun> => {
  const { options, queue, report, appendable, run: before } = machine;
  const onTip = (tip: CompactRange): void => {
    appendable.committed();
    report.note(() => headOf(tip));
    options.onHead?.(headOf(tip));
  };
  const tip = before?.tip ?? (await adoptTip(session));
  const { refused: onRefused, refusesAll } = appendable;
  const run = { session, queue, tip, unsettled: [], onTip, onRefused, refusesAll };
  const missing = await settleCommitted(run, before?.unsettled ?? []);
  const unavailable = logUnavailable('The access log was lost twice while this entry was on its way.');
  for (const pending of missing) if (pending.retried) pending.reject(unavailable);
  queue.putBack(
    missing.filter((pending) => !pending.retried).map((pending) => ({ ...pending, retried: true })),
  );
  return run;
};

/** Thrown wherever a halt from outside could be overtaken by work that had begun. */
const assertNotHalted = ({ halted }: Machine): void => {
  if (halted !== null) throw halted;
};

const establish = async (machine: Machine): Promise<void> => {
  const { options, limits } = machine;
  machine.state = 'connecting';
  const session = await openAppendConnection({
    postgres: options.postgres,
    writer: options.writer,
    statementMs: limits.statementMs,
    onLost: () => {
      wake(machine);
    },
  });
  try {
    machine.run = await openRun(machine, session);
    assertNotHalted(machine);
  } catch (error) {
    await session.end();
    throw error;
  }
  machine.state = 'ready';
  machine.failures = 0;
  options.log.info(headOf(machine.run.tip), 'The access log is open');
};

const open = async (machine: Machine): Promise<void> => {
  machine.opening = establish(machine);
  try {
    await machine.opening;
  } finally {
    machine.opening = null;
  }
};

const haltReason = ({ halted }: Machine): AppError => halted ?? logHalted('The access log is halted.');

/** Why nothing can be appended now; waits for a connection that is being made, as an append does. */
const obstacleOf = async (machine: Machine): Promise<AppError | null> => {
  if (machine.state === 'connecting') await machine.opening?.catch(() => undefined);
  if (machine.state === 'halted') return haltReason(machine);
  if (machine.closing || machine.state !== 'ready')
    return logUnavailable('The access log cannot be reached now.');
  return null;
};

/** Connects if need be and commits what waits. One at a time; ends when nothing waits or nothing can be done. */
const work = async (machine: Machine): Promise<void> => {
  try {
    for (;;) {
      assertNotHalted(machine);
      if (machine.run === null || machine.run.session.lost()) await open(machine);
      else if (machine.queue.isEmpty()) return;
      else await commitWaiting(machine.run);
    }
  } catch (error) {
    if (machine.halted !== null) await halt(machine, machine.halted);
    else if (isAppError(error, 'log_halted')) await halt(machine, error);
    else stayAway(machine, error);
  } finally {
    // In the same turn as the last look at the queue: an append that comes now starts the next run.
    machine.working = null;
  }
};

const haltFromOutside = (machine: Machine, error: AppError): void => {
  if (machine.state === 'halted' || machine.state === 'closed') return;
  machine.halted = error;
  machine.state = 'halted';
  if (machine.pause !== null) clearTimeout(machine.pause);
  machine.pause = null;
  rejectAll(machine, error);
  // Whatever is under way ends with its session, and `work` looks at `halted` before it does anything more.
  void machine.run?.session.end();
};

const wake = (machine: Machine): void => {
  const { working, pause, state } = machine;
  if (working !== null || pause !== null || state === 'halted' || state === 'closed') return;
  // A microtask later, so that appends made in the same turn go in one batch.
  machine.working = Promise.resolve().then(() => work(machine));
};

const enqueue = (machine: Machine, event: AuditEvent): Promise<Receipt> =>
  new Promise((resolve, reject) => {
    const { state, closing, nextSalt, queue } = machine;
    if (state === 'halted') throw haltReason(machine);
    if (closing || state === 'away') throw logUnavailable('The access log cannot be reached now.');
    const encoded = encodeEvent(event);
    const salt = nextSalt();
    const commitment = commitmentOf(salt, encoded.body);
    if (!queue.add({ ...encoded, salt, commitment, resolve, reject, retried: false }))
      throw logUnavailable('Too many entries wait for the access log.');
    wake(machine);
  });

const close = async (machine: Machine, reader: AuditReader): Promise<void> => {
  machine.closing = true;
  if (machine.pause !== null) clearTimeout(machine.pause);
  while (machine.working !== null) await machine.working;
  if (machine.state !== 'halted') machine.state = 'closed';
  machine.report.flush();
  await machine.run?.session.end();
  await reader.close();
};

const WRITER_NAME = /^[a-z0-9._-]{1,64}$/;

/**
 * Connects in the background; the first appends wait for the connection. Throws `config_invalid` for a writer's name the
 * log would refuse with every batch.
 */
export const createAuditWriter = (options: AuditWriterOptions): AuditWriter => {
  if (!WRITER_NAME.test(options.writer))
    throw new AppError(
      'config_invalid',
      'The name of a log writer is 1 to 64 of a-z, 0-9, dot, dash and underscore.',
    );
  const limits = { ...defaultLimits, ...options.limits };
  const reader = createAuditReader(options);
  const machine: Machine = {
    options,
    limits,
    queue: createAppendQueue(limits),
    nextSalt: createSalts(options.randomBytes),
    report: createHeadReport(options.headLog ?? options.log, limits.headReportMs),
    appendable: createAppendable({
      ...reader,
      obstacle: () => obstacleOf(machine),
      now: () => performance.now(),
    }),
    halted: null,
    state: 'connecting',
    run: null,
    failures: 0,
    pause: null,
    working: null,
    opening: null,
    closing: false,
  };
  wake(machine);
  return {
    ...reader,
    append: (event) => enqueue(machine, event),
    state: () => (machine.closing ? 'closed' : machine.state === 'connecting' ? 'away' : machine.state),
    assertAppendable: machine.appendable.assert,
    verifiedHead: () => machine.run && headOf(machine.run.tip),
    halt: (error) => haltFromOutside(machine, error),
    close: () => close(machine, reader),
  };
};
