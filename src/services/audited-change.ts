import type { AuditReader } from '../audit/reader.ts';
import type { Receipt } from '../audit/receipt.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { isAppError } from '../core/errors.ts';
import type { AuditEvent } from '../core/events.ts';
import type { PendingChangeTable } from '../storage/pending-change-table.ts';

/**
 * How one kind of change is carried out. `payload` is JSON and holds everything `apply` needs after a restart.
 * `claim` runs before the entry and may refuse (throw); it reserves the thing so that nothing slips between decision and
 * effect. `apply` is idempotent. `release` undoes a claim whose entry never reached the log.
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
      throw error;
    }
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

    /** Completes or undoes what was interrupted at least `graceMs` ago; at start and from the sweeper. Returns how many. */
    async reconcile(graceMs: number): Promise<number> {
      const interrupted = await pending.olderThan(deps.now() - graceMs);
      for (const { eventId, kind, payload } of interrupted) {
        const effect = effects[kind as keyof K & string];
        if (effect === undefined) throw new Error(`no effect is known for the pending change "${kind}"`);
        const entry = await log.find(eventId);
        if (entry === null) await effect.release?.(payload as never);
        else await effect.apply(payload as never, { seq: entry.seq });
        await pending.remove(eventId);
      }
      return interrupted.length;
    },
  };
};

export type AuditedChanges<K extends Record<string, unknown>> = ReturnType<typeof createAuditedChanges<K>>;
