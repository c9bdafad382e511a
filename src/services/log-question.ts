import type { Audience, LogSearch } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import type { UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import { canonicalPersonalNumber } from '../core/personal-number.ts';
import { canonicalPhone } from '../core/phone.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import { eventBase } from './event-base.ts';
import { subjectKeys } from './recording-facts.ts';

/** What the log can be searched by. A number is attacker-controlled; what is looked for is its keys, and it goes no further. */
export type LogQuery = Omit<LogSearch, 'audience' | 'subjects' | 'start' | 'size'> & {
  readonly callerNumber?: string;
  readonly personalNumber?: string;
};

export const audienceOf = ({ role, organisation }: UserActor): Audience => {
  if (role === 'installation_auditor') return { scope: 'installation' };
  if (organisation === null) throw new AppError('forbidden', 'Your role does not permit this (log.read).');
  return { scope: 'organisation', organisation };
};

const refused = (where: string, fault: string): AppError =>
  new AppError('invalid_request', 'The search cannot be made as asked.', { faults: [{ where, fault }] });

/** How a person's number is indexed. The fault never repeats it. */
const spelled = (where: 'callerNumber' | 'personalNumber', raw: string, now: number): string => {
  if (where === 'personalNumber') {
    const result = canonicalPersonalNumber(raw, now);
    if ('fault' in result) throw refused(where, result.fault);
    return result.canonical;
  }
  const { canonical } = canonicalPhone(raw);
  if (canonical === null)
    throw refused(where, 'is not a telephone number that is indexed (write it as +46… or 08…)');
  return canonical;
};

export type LogQuestionDeps = {
  readonly fields: Pick<FieldEncryption, 'blindIndexes'>;
  readonly now: () => number;
};

/**
 * The search that was asked for, as the log is searched: a number becomes the patient's keys under every live index key.
 * Rejects with `invalid_request` for a number that is none, or beside another way to name a patient.
 */
export const createLogQuestion =
  ({ fields, now }: LogQuestionDeps) =>
  async (actor: UserActor, asked: LogQuery): Promise<LogSearch> => {
    const { callerNumber, personalNumber, ...query } = asked;
    const audience = audienceOf(actor);
    const named = (['subject', 'callerNumber', 'personalNumber'] as const).filter(
      (field) => asked[field] !== undefined,
    );
    if (named.length > 1) throw refused(named[1] ?? '', `cannot be combined with ${named[0]}`);
    const where = named[0];
    if (where === undefined || where === 'subject') return { ...query, audience };
    if (actor.organisation === null) throw refused(where, 'is of patients, who belong to an organisation');
    const canonical = spelled(where, asked[where] ?? '', now());
    return { ...query, audience, subjects: await subjectKeys(fields, actor.organisation, canonical) };
  };

export type LogQuestion = ReturnType<typeof createLogQuestion>;

/** The entry that somebody read the log, committed before what was read is shown. */
export const createRecordReading =
  ({ audit, now }: { readonly audit: Pick<AuditWriter, 'append'>; readonly now: () => number }) =>
  async (
    actor: UserActor,
    request: string,
    seqs: readonly number[],
    outcome: 'success' | 'denied' = 'success',
  ): Promise<void> => {
    await audit.append({
      ...eventBase(actor, request, now()),
      action: 'log.read',
      outcome,
      detail: {
        count: seqs.length,
        first: seqs.length === 0 ? null : Math.min(...seqs),
        last: seqs.length === 0 ? null : Math.max(...seqs),
      },
    });
  };

export type RecordReading = ReturnType<typeof createRecordReading>;
