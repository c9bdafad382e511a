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

/** A receipt lives this long unless its event says otherwise (`playback.opened`). */
const RECEIPT_LIFETIME_MS = 60_000;

/** Known to this file alone: a receipt's own constructor, which anybody can reach, makes none without it. */
const MINT = Symbol('mint');

/**
 * The private field is what makes a receipt genuine: no copy, no proxy and no object that inherits from one has it, and
 * unlike a set of those that were made it costs nothing to keep.
 */
class Minted implements Receipt {
  readonly #genuine = true;
  readonly eventId: string;
  readonly seq: number;
  readonly action: AuditAction;
  readonly organisation: string | null;
  readonly recordings: readonly string[];
  readonly expiresAt: number;

  constructor(mint: symbol, event: AuditEvent, seq: number) {
    if (mint !== MINT) throw new AppError('internal', 'a receipt is made by the access log alone');
    this.eventId = event.id;
    this.seq = seq;
    this.action = event.action;
    this.organisation = event.organisation;
    this.recordings = Object.freeze([...recordingsCovered(event)]);
    this.expiresAt =
      event.action === 'playback.opened' ? event.detail.expiresAt : event.at + RECEIPT_LIFETIME_MS;
    Object.freeze(this);
  }

  static isGenuine(receipt: unknown): boolean {
    return typeof receipt === 'object' && receipt !== null && #genuine in receipt && receipt.#genuine;
  }
}

/** Called by the writer after COMMIT has been confirmed, and by `receiptOf` after a committed entry has been read back. */
export const mintReceipt = (event: AuditEvent, seq: number): Receipt => new Minted(MINT, event, seq);

/** Throws `invalid_receipt` for a forged, foreign, mismatched or expired receipt. Nothing is opened without passing here. */
export const assertReceipt = (receipt: Receipt, scope: ReceiptScope): void => {
  const fault = !Minted.isGenuine(receipt)
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
