import { isFor } from '../audit/audience.ts';
import type { LogEvidence, RawEntry, RawRow } from '../audit/log-evidence.ts';
import type { Audience, LogSearch } from '../audit/reader.ts';
import { commitmentOf, SALT_BYTES } from '../core/audit/commitment.ts';
import { decodeBody } from '../core/audit/entry.ts';
import { aboutTheLog } from '../core/audit/export-agreement.ts';
import type { ExportLine } from '../core/audit/export-format.ts';
import { differingFacts } from '../core/audit/facts.ts';
import { isAppError } from '../core/errors.ts';
import type { AuditAction, AuditEvent } from '../core/events.ts';

/** Rows held in memory at a time; a body is at most 64 KiB, and usually half a kilobyte. */
const PAGE = 256;
const SELECTED_PAGE = 100;

const eventOf = (body: string): AuditEvent | null => {
  try {
    return decodeBody(body);
  } catch (error) {
    if (isAppError(error, 'integrity_failure')) return null;
    throw error;
  }
};

const isCommitted = ({ salt, body, commitment }: RawEntry): boolean =>
  salt?.length === SALT_BYTES && body !== null && commitmentOf(salt, body).equals(commitment);

/** Of a body that says nothing any more, what the database finds it by still says whose it was. */
const belongsTo = (audience: Audience, event: AuditEvent | null, { facts }: RawRow): boolean => {
  if (event !== null) return aboutTheLog.has(event.action) || isFor(audience, event);
  return (
    facts !== null &&
    isFor(audience, { organisation: facts.organisation, action: facts.action as AuditAction })
  );
};

/**
 * The line of one entry of a run, for these readers. Their own is shown as it lies in the database, be it what was committed
 * to or not, for that is what the verifier is to find. A body that was exchanged could name anybody as its owner, so it
 * is no reason to withhold: to everybody else it is missing.
 */
export const runLine = (audience: Audience, row: RawRow): ExportLine => {
  const { seq, commitment, salt, body } = row;
  const line = { seq, commitment, columns: [], proof: null };
  if (salt === null || body === null) return { ...line, content: 'missing' };
  const event = eventOf(body);
  if (!belongsTo(audience, event, row))
    return { ...line, content: isCommitted(row) ? 'withheld' : 'missing' };
  const differing = event === null || row.facts === null ? [] : differingFacts(row.facts, event);
  const exchanged = event !== null && row.eventId !== event.id ? ['leafEventId'] : [];
  return { ...line, columns: [...differing, ...exchanged], content: { salt, body } };
};

export async function* runLines(
  evidence: Pick<LogEvidence, 'run'>,
  audience: Audience,
  { from, to }: { readonly from: number; readonly to: number },
): AsyncGenerator<ExportLine> {
  for (let at = from; at < to; at += PAGE)
    for (const row of await evidence.run(at, Math.min(at + PAGE, to))) yield runLine(audience, row);
}

/** What a search finds, each entry with its proof in the tree of `size`. */
export async function* selectedLines(
  evidence: Pick<LogEvidence, 'selected' | 'inclusions'>,
  query: LogSearch & { readonly size: number },
): AsyncGenerator<ExportLine> {
  for (let cursor: string | undefined; ; ) {
    const page = await evidence.selected({
      ...query,
      limit: SELECTED_PAGE,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const seqs = page.entries.map(({ seq }) => seq);
    const proofs = await evidence.inclusions(seqs, query.size);
    for (const [i, { seq, commitment, salt, body }] of page.entries.entries()) {
      const content = salt === null || body === null ? ('missing' as const) : { salt, body };
      yield { seq, commitment, columns: [], proof: proofs[i]!, content };
    }
    if (page.next === null) return;
    cursor = page.next;
  }
}
