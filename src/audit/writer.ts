import type { AuditEvent } from '../core/events.ts';
import type { AuditHead, AuditReader } from './reader.ts';
import type { Receipt } from './receipt.ts';

/** `away`: the database cannot be reached or refuses; appends fail at once. `halted`: the log contradicts what this process has seen. */
export type AuditWriterState = 'ready' | 'away' | 'halted' | 'closed';

export type AuditWriter = AuditReader & {
  /**
   * Resolves after COMMIT and after this process has recomputed the tree over its own leaves. Rejects with
   * `log_unavailable` (whether the entry is in the log may be unknown: `find` tells), `log_halted`, `event_exists`, or
   * `internal` for an event that cannot be encoded or stored.
   */
  readonly append: (event: AuditEvent) => Promise<Receipt>;
  readonly state: () => AuditWriterState;
  /** The newest head this process has verified itself; null before the first connection. */
  readonly verifiedHead: () => AuditHead | null;
};
