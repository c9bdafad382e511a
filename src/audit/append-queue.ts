import type { AuditEvent } from '../core/events.ts';
import type { Receipt } from './receipt.ts';

/** An event on its way into the log. Salt and commitment are made once and stay, so that a retry is the same entry. */
export type Pending = {
  readonly event: AuditEvent;
  readonly body: string;
  readonly salt: Buffer;
  readonly commitment: Buffer;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (error: Error) => void;
  /** Was sent on a session that was lost before it answered, and is being sent again. */
  readonly retried: boolean;
};

export type QueueLimits = {
  /** Events and bytes that may wait; beyond either, appends are refused. */
  readonly queueEvents: number;
  readonly queueBytes: number;
  /** Events and bytes of one batch; a single event always fits. */
  readonly batchEvents: number;
  readonly batchBytes: number;
};

export type AppendQueue = {
  /** False when the queue is full; nothing was added then. */
  readonly add: (pending: Pending) => boolean;
  /** Puts a batch in front, to be sent again as it is and alone. */
  readonly putBack: (batch: readonly Pending[]) => void;
  /** What goes to the server next, oldest first; null when nothing waits. */
  readonly take: () => readonly Pending[] | null;
  readonly isEmpty: () => boolean;
  /** Empties the queue. */
  readonly drain: () => readonly Pending[];
};

/** What waits for its place in the log. There is no lingering: whatever waits goes, and what arrives meanwhile goes next. */
export const createAppendQueue = (limits: QueueLimits): AppendQueue => {
  let waiting: Pending[] = [];
  let waitingBytes = 0;
  const again: (readonly Pending[])[] = [];

  const takeWaiting = (): readonly Pending[] => {
    let taken = 0;
    let bytes = 0;
    while (taken < waiting.length && taken < limits.batchEvents) {
      bytes += waiting[taken]!.body.length;
      if (taken > 0 && bytes > limits.batchBytes) break;
      taken += 1;
    }
    const batch = waiting.slice(0, taken);
    waiting = waiting.slice(taken);
    waitingBytes -= batch.reduce((sum, pending) => sum + pending.body.length, 0);
    return batch;
  };

  return {
    add: (pending) => {
      if (waiting.length >= limits.queueEvents || waitingBytes >= limits.queueBytes) return false;
      waiting.push(pending);
      waitingBytes += pending.body.length;
      return true;
    },
    putBack: (batch) => {
      if (batch.length > 0) again.unshift(batch);
    },
    take: () => again.shift() ?? (waiting.length > 0 ? takeWaiting() : null),
    isEmpty: () => again.length === 0 && waiting.length === 0,
    drain: () => {
      const all = [...again.flat(), ...waiting];
      again.length = 0;
      waiting = [];
      waitingBytes = 0;
      return all;
    },
  };
};
