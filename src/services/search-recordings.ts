import type { Receipt } from '../audit/receipt.ts';
import type { AuditWriter } from '../audit/writer.ts';
import type { UserActor } from '../core/access.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { OrganisationId } from '../core/ids.ts';
import { decodeCursor, encodeCursor } from '../core/keyset.ts';
import { canonicalPersonalNumber } from '../core/personal-number.ts';
import { canonicalPhone } from '../core/phone.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import { integrityFailure } from '../crypto/integrity.ts';
import type { FoundRecording, IndexName, RecordingTable } from '../storage/recording-table.ts';
import { eventBase } from './event-base.ts';
import { decodeFacts, factsPlace, type PersonalFacts, subjectKey } from './recording-facts.ts';
import { openOrReport, type ReportDamage } from './report-damage.ts';

export type SearchRecordingsDeps = {
  readonly recordings: Pick<RecordingTable, 'search'>;
  readonly fields: Pick<FieldEncryption, 'blindIndexes' | 'openField'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly reportDamage: ReportDamage;
  readonly now: () => number;
};

/** The closed list of what can be searched (PDL-9); every value is attacker-controlled. */
export type RecordingQuery = {
  readonly from?: string;
  readonly to?: string;
  readonly careUnit?: string;
  readonly direction?: string;
  readonly callerNumber?: string;
  readonly calledNumber?: string;
  readonly personalNumber?: string;
  readonly callId?: string;
  readonly agentId?: string;
  readonly queue?: string;
  readonly originalName?: string;
  readonly limit?: number;
  readonly cursor?: string;
};

/** `facts` is null when they did not verify: one damaged row must not hide the others. */
export type FoundWithFacts = { readonly row: FoundRecording; readonly facts: PersonalFacts | null };
export type SearchAnswer = { readonly found: readonly FoundWithFacts[]; readonly next: string | null };

const DEFAULT_LIMIT = 50;

const fault = (where: string, text: string): AppError =>
  new AppError('invalid_request', 'The search cannot be made as asked.', {
    faults: [{ where, fault: text }],
  });

/** How each searched field is spelled in its index. Faults never repeat the value. */
const canonical = {
  callerNumber: { index: 'caller', spell: (raw) => phone('callerNumber', raw) },
  calledNumber: { index: 'called', spell: (raw) => phone('calledNumber', raw) },
  personalNumber: {
    index: 'personal',
    spell: (raw, now) => {
      const result = canonicalPersonalNumber(raw, now);
      if ('fault' in result) throw fault('personalNumber', result.fault);
      return result.canonical;
    },
  },
  callId: { index: 'callId', spell: (raw) => raw },
  agentId: { index: 'agent', spell: (raw) => raw },
  queue: { index: 'queue', spell: (raw) => raw },
  originalName: { index: 'name', spell: (raw) => raw },
} as const satisfies Record<string, { index: IndexName; spell: (raw: string, now: number) => string }>;

const phone = (where: string, raw: string): string => {
  const { canonical: spelled } = canonicalPhone(raw);
  if (spelled === null)
    throw fault(where, 'is not a telephone number that is indexed (write it as +46… or 08…)');
  return spelled;
};

const instant = (where: string, text: string | undefined): Date | null => {
  if (text === undefined) return null;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw fault(where, 'is not a time (RFC 3339)');
  return new Date(time);
};

/** A period that ends before it begins would be answered with "nothing". */
const periodOf = (query: RecordingQuery): { readonly from: Date | null; readonly to: Date | null } => {
  const [from, to] = [instant('from', query.from), instant('to', query.to)];
  if (from !== null && to !== null && from > to) throw fault('from', 'is later than to');
  return { from, to };
};

const positionOf = (cursor: string | undefined): { startedAt: Date; id: string } | null => {
  if (cursor === undefined) return null;
  const position = decodeCursor(cursor);
  if (position === null) throw fault('cursor', 'is not one that an earlier answer gave');
  return { startedAt: position.at, id: position.id };
};

const factsOpener =
  ({ fields, reportDamage }: Pick<SearchRecordingsDeps, 'fields' | 'reportDamage'>) =>
  async (row: FoundRecording, receipt: Receipt): Promise<FoundWithFacts> => {
    const { factsSealed } = row;
    try {
      const bytes = await openOrReport(reportDamage, row, () => {
        if (factsSealed === null) throw integrityFailure('field');
        return fields.openField(factsPlace(row), factsSealed, receipt);
      });
      return { row, facts: decodeFacts(bytes) };
    } catch (error) {
      // Damaged, or damaged and erased meanwhile.
      if (isAppError(error, 'integrity_failure') || isAppError(error, 'not_found'))
        return { row, facts: null };
      throw error;
    }
  };

/**
 * Recordings of the nurse's own care units, newest first. What was found is in the log, and committed, before one sealed
 * number is opened; what was searched for is named by kind only, never by value.
 */
export const createSearchRecordings = (deps: SearchRecordingsDeps) => {
  const withFacts = factsOpener(deps);

  const indexesOf = async (organisation: OrganisationId, query: RecordingQuery) => {
    const asked = Object.entries(canonical).flatMap(([field, { index, spell }]) => {
      const raw = query[field as keyof RecordingQuery];
      return typeof raw === 'string' ? [{ field, index, spelled: spell(raw, deps.now()) }] : [];
    });
    return Promise.all(
      asked.map(async ({ field, index, spelled }) => {
        const versions = await deps.fields.blindIndexes(organisation, index, spelled);
        return { field, name: index, versions, values: versions.map((version) => version.index) };
      }),
    );
  };

  /** The care unit and the patient (pseudonymous key) that the search was about, if it was about one. */
  const searchedFor = async (organisation: OrganisationId, query: RecordingQuery) => {
    const { personalNumber, callerNumber, careUnit } = query;
    const unitId = careUnit ?? null;
    const spelled =
      personalNumber !== undefined
        ? canonical.personalNumber.spell(personalNumber, deps.now())
        : callerNumber !== undefined
          ? phone('callerNumber', callerNumber)
          : null;
    if (spelled === null) return { unitId, subject: null };
    return { unitId, subject: await subjectKey(deps.fields, organisation, spelled) };
  };

  const unitsOf = (actor: UserActor, query: RecordingQuery): readonly string[] =>
    query.careUnit === undefined ? actor.units : actor.units.filter((unit) => unit === query.careUnit);

  return async (asked: {
    actor: UserActor;
    query: RecordingQuery;
    request: string;
  }): Promise<SearchAnswer> => {
    const { actor, query, request } = asked;
    if (actor.organisation === null) throw new AppError('forbidden', 'Your role does not permit this.');
    const limit = query.limit ?? DEFAULT_LIMIT;
    const period = periodOf(query);
    const indexes = await indexesOf(actor.organisation, query);
    const rows = await deps.recordings.search({
      organisation: actor.organisation,
      units: unitsOf(actor, query),
      ...period,
      direction: query.direction ?? null,
      indexes,
      after: positionOf(query.cursor),
      limit: limit + 1,
    });
    const found = rows.slice(0, limit);
    const more = rows.length > limit;
    const receipt = await deps.audit.append({
      ...eventBase(actor, request, deps.now(), { row: await searchedFor(actor.organisation, query) }),
      action: 'recordings.searched',
      outcome: 'success',
      detail: {
        count: found.length,
        results: found.map((row) => row.id),
        criteria: [...indexes.map(({ field }) => field), ...plainCriteria(query)],
        indexVersion: indexes[0]?.versions[0]?.version ?? 0,
        more,
      },
    });
    const last = found.at(-1);
    return {
      found: await Promise.all(found.map((row) => withFacts(row, receipt))),
      next: more && last !== undefined ? encodeCursor({ at: last.startedAt, id: last.id }) : null,
    };
  };
};

const plainCriteria = (query: RecordingQuery): string[] =>
  (['from', 'to', 'careUnit', 'direction'] as const).filter((name) => query[name] !== undefined);

export type SearchRecordings = ReturnType<typeof createSearchRecordings>;
