import type { AuditReader } from '../audit/reader.ts';
import type { Receipt } from '../audit/receipt.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AuditEvent } from '../core/events.ts';
import type { PendingChange, PendingChangeTable } from '../storage/pending-change-table.ts';

/**
 * How one kind of change is carried out. `payload` is JSON and holds everything `apply` needs after a restart.
 * `claim` runs before the entry and may refuse (throw); it reserves the thing so that nothing slips between decision and
 * effect. `apply` is idempotent, and makes a claim anew that was undone meanwhile. `release` undoes a claim whose entry never
 * reached the log; a claim that was never made too.
 */
export type Effect<P> = {
  readonly claim?: (payload: P) => Promise<void>;
  readonly apply: (payload: P, receipt: { readonly seq: number }) => Promise<void>;
  readonly release?: (payload: P) => Promise<void>;
};

export type Effects<K extends Record<string, unknown>> = { readonly [N in keyof K]: Effect<K[N]> };

type Deps<K extends Record<string, unknown>> = {
  readonly pending: PendingChangeTable;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly log: Pick<AuditReader, 'find'>;
  readonly effects: Effects<K>;
  readonly now: () => number;
};

const givenUp = (): AppError =>
  new AppError('conflict', 'This took too long and was given up. Nothing was changed; ask for it again.');

/** What ends a change that was announced and never told, under its own id: a sleeper who wakes up cannot tell it after all. */
const interrupted = ({ eventId, kind }: PendingChange, at: number): AuditEvent => ({
  id: eventId,
  at,
  action: 'access.denied',
  outcome: 'failed',
  actor: { type: 'system', id: null, role: null },
  organisation: null,
  unit: null,
  recording: null,
  subject: null,
  purpose: null,
  session: null,
  request: null,
  detail: { route: kind, reason: 'interrupted' },
});

/**
 * One order for every audited change: announce → claim → entry → effect → forget. Killed at any point, `reconcile`
 * asks the log by event id: an entry means the effect is completed, no entry means the claim is undone.
 */
export const createAuditedChanges = <K extends Record<string, unknown>>(deps: Deps<K>) => {
  const { pending, audit, log, effects } = deps;

  const undo = async <N extends keyof K & string>(kind: N, payload: K[N], eventId: string): Promise<void> => {
    await effects[kind].release?.(payload);
    await pending.remove(eventId);
  };

  const appendOrUndo = async <N extends keyof K & string>(
    event: AuditEvent,
    kind: N,
    payload: K[N],
  ): Promise<Receipt> => {
    try {
      return await audit.append(event);
    } catch (error) {
      // With the log away nobody knows yet whether the entry is in it: leave the claim to `reconcile`.
      if (!isAppError(error, 'log_unavailable') && !isAppError(error, 'log_halted'))
        await undo(kind, payload, event.id);
      throw isAppError(error, 'event_exists') ? givenUp() : error;
    }
  };

  /** The seq of the change's entry; null once it is certain, and in the log, that there will be none. */
  const decided = async (change: PendingChange): Promise<number | null> => {
    try {
      if ((await log.find(change.eventId)) === null) await audit.append(interrupted(change, deps.now()));
    } catch (error) {
      if (!isAppError(error, 'event_exists')) throw error;
    }
    const entry = await log.find(change.eventId);
    if (entry === null) throw new AppError('log_unavailable', 'an entry that was written is not there');
    return entry.event.action === 'access.denied' ? null : entry.seq;
  };

  const settle = async (change: PendingChange): Promise<void> => {
    const { eventId, kind, payload } = change;
    const effect = effects[kind as keyof K & string];
    if (effect === undefined) throw new Error(`no effect is known for the pending change "${kind}"`);
    const seq = await decided(change);
    if (seq === null) await effect.release?.(payload as never);
    else await effect.apply(payload as never, { seq });
    await pending.remove(eventId);
  };

  return {
    /** Resolves when the entry is committed and the effect is done. Rejects without effect when the log refuses. */
    async perform<N extends keyof K & string>(event: AuditEvent, kind: N, payload: K[N]): Promise<void> {
      await pending.insert({ eventId: event.id, kind, payload, createdAt: deps.now() });
      try {
        await effects[kind].claim?.(payload);
      } catch (error) {
        await pending.remove(event.id);
        throw error;
      }
      const receipt = await appendOrUndo(event, kind, payload);
      await effects[kind].apply(payload, receipt);
      await pending.remove(event.id);
    },

    /**
     * Completes or undoes what was interrupted at least `graceMs` ago; at start and from the sweeper. Returns how many. One
     * that cannot be settled now keeps none of the others waiting; its error is thrown at the end.
     */
    async reconcile(graceMs: number): Promise<number> {
      const found = await pending.olderThan(deps.now() - graceMs);
      const failures: unknown[] = [];
      for (const change of found) await settle(change).catch((error: unknown) => failures.push(error));
      if (failures.length > 0) throw failures[0];
      return found.length;
    },
  };
};

export type AuditedChanges<K extends Record<string, unknown>> = ReturnType<typeof createAuditedChanges<K>>;
