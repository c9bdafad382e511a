import type { Actor } from '../core/events.ts';

type IntentRow = {
  readonly id: string;
  readonly intentId: string;
  readonly organisationId: string;
  readonly sourceId: string;
  readonly unitId: string | null;
  readonly subject: string | null;
};

/**
 * The common part of every entry that ends an upload. Its id is the intent's: the log takes an id once, so exactly one end
 * (stored, refused, abandoned) can ever be told, whoever tells it first.
 */
export const intentEvent = (row: IntentRow, at: number, request: string | null) => ({
  id: row.intentId,
  at,
  actor: { type: 'source', id: row.sourceId, role: 'source' } satisfies Actor,
  organisation: row.organisationId,
  unit: row.unitId,
  recording: row.id,
  subject: row.subject,
  purpose: null,
  session: null,
  request,
});
