import type { AuditAction, AuditEvent, Outcome, Purpose } from '../core/events.ts';
import type { Receipt } from './receipt.ts';

/** Where the audit room reports what an operator should know; pino fits. Never receives a body. */
export type AuditLogger = {
  readonly info: (fields: object, message: string) => void;
  readonly warn: (fields: object, message: string) => void;
  readonly error: (fields: object, message: string) => void;
};

/** Size and RFC 6962 root (hex) of the log. */
export type AuditHead = { readonly size: number; readonly root: string };

/**
 * Who reads. An organisation's compliance officer sees the organisation-scoped actions that name her organisation; the
 * installation's auditor sees installation-scoped actions and entries of no organisation.
 */
export type Audience =
  | { readonly scope: 'organisation'; readonly organisation: string }
  | { readonly scope: 'installation' };

export type LogEntry = { readonly seq: number; readonly event: AuditEvent };

export type LogSearch = {
  readonly audience: Audience;
  readonly actor?: string;
  readonly recording?: string;
  readonly subject?: string;
  readonly action?: AuditAction;
  readonly outcome?: Outcome;
  readonly unit?: string;
  readonly purpose?: Purpose;
  readonly session?: string;
  /** Milliseconds since 1970, inclusive. */
  readonly from?: number;
  /** Milliseconds since 1970, exclusive. */
  readonly to?: number;
  /** `next` of the page before. Attacker-controlled; `invalid_request` when it is not one of ours. */
  readonly cursor?: string;
  /** 1 to 200; 50 when absent. */
  readonly limit?: number;
};

export type LogPage = { readonly entries: readonly LogEntry[]; readonly next: string | null };

/** Reads on connections of its own, so reading never delays an append. Every failure of the database is `log_unavailable`. */
export type AuditReader = {
  /** Newest first, by time and then by place in the log. */
  readonly search: (query: LogSearch) => Promise<LogPage>;
  /** Null when there is no such entry or it is not this audience's: the two look alike. */
  readonly read: (seq: number, audience: Audience) => Promise<LogEntry | null>;
  /** The committed entry of this event, or null when the log has none. For reconciliation after a crash. */
  readonly find: (eventId: string) => Promise<LogEntry | null>;
  /** A receipt for an entry committed earlier, read back and checked; null when the log has none. */
  readonly receiptOf: (eventId: string) => Promise<Receipt | null>;
  /** The newest head as the database states it. */
  readonly head: () => Promise<AuditHead>;
  readonly close: () => Promise<void>;
};
