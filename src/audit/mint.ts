import { AppError } from '../core/errors.ts';
import type { AuditAction, AuditEvent } from '../core/events.ts';
import { recordingsCovered } from '../core/events.ts';

/**
 * Proof, inside this process, that an entry is committed. Made only by {@link mintReceipt}, which only files of the audit
 * room may import; other rooms see `receipt.ts`, which exports the type and the check and nothing that makes one.
 */
export type Receipt = {
  readonly eventId: string;
  readonly seq: number;
  readonly action: AuditAction;
  readonly organisation: string | null;
  /** Recordings whose sealed content this entry covers. */
  readonly recordings: readonly string[];
  /** Milliseconds since 1970; afterwards the receipt opens nothing. */
  readonly expiresAt: number;
};

export type ReceiptScope = {
  readonly actions: readonly AuditAction[];
  readonly organisation: string;
  readonly recording: string;
  readonly now: number;
};

const genuine = new WeakSet<Receipt>();

/** A receipt lives this long unless its event says otherwise (`playback.opened`). */
const RECEIPT_LIFETIME_MS = 60_000;

/** Called by the writer after COMMIT has been confirmed, and by `receiptOf` after a committed entry has been read back. */
export const mintReceipt = (event: AuditEvent, seq: number): Receipt => {
  const receipt: Receipt = Object.freeze({
    eventId: event.id,
    seq,
    action: event.action,
    organisation: event.organisation,
    recordings: Object.freeze([...recordingsCovered(event)]),
    expiresAt: event.action === 'playback.opened' ? event.detail.expiresAt : event.at + RECEIPT_LIFETIME_MS,
  });
  genuine.add(receipt);
  return receipt;
};

/** Throws `invalid_receipt` for a forged, foreign, mismatched or expired receipt. Nothing is opened without passing here. */
export const assertReceipt = (receipt: Receipt, scope: ReceiptScope): void => {
  const fault = !genuine.has(receipt)
    ? 'it was not made by the access log'
    : !scope.actions.includes(receipt.action)
      ? 'its entry is of another kind'
      : receipt.organisation !== scope.organisation
        ? 'its entry names another organisation'
        : !receipt.recordings.includes(scope.recording)
          ? 'its entry does not cover this recording'
          : receipt.expiresAt <= scope.now
            ? 'it has expired'
            : null;
  if (fault !== null) throw new AppError('invalid_receipt', `The receipt opens nothing here: ${fault}.`);
};
