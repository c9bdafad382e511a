import { randomUUID } from 'node:crypto';
import { mintReceipt } from '../../src/audit/mint.ts';
import type { Receipt } from '../../src/audit/receipt.ts';
import type { AuditAction, AuditEventOf, EventDetails } from '../../src/core/events.ts';

type EventFacts<A extends AuditAction> = {
  readonly action: A;
  readonly detail: EventDetails[A];
  readonly organisation: string;
  readonly recording?: string | null;
  readonly at: number;
  readonly outcome?: 'success' | 'denied' | 'failed';
};

/** A genuine receipt, as the access log would give it for this event. */
export const receiptFor = <A extends AuditAction>(facts: EventFacts<A>): Receipt =>
  mintReceipt(
    {
      id: randomUUID(),
      outcome: 'success',
      actor: { type: 'user', id: randomUUID(), role: 'nurse' },
      unit: null,
      recording: null,
      subject: null,
      purpose: 'care',
      session: null,
      request: null,
      ...facts,
    } as unknown as AuditEventOf<A>,
    1,
  );

type Covered = { readonly organisation: string; readonly recording: string };

/** A receipt for hearing one recording until `expiresAt`. */
export const playbackReceipt = (
  { organisation, recording }: Covered,
  at: number,
  expiresAt = at + 3_600_000,
): Receipt =>
  receiptFor({
    action: 'playback.opened',
    organisation,
    recording,
    at,
    detail: { playback: randomUUID(), reason: null, expiresAt },
  });
