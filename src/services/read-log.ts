import type { Audience, AuditReader, LogEntry, LogPage, LogSearch } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import type { UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import { eventBase } from './event-base.ts';

export type { LogEntry };

export type ReadLogDeps = {
  readonly log: Pick<AuditReader, 'search' | 'read'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
};

const audienceOf = ({ role, organisation }: UserActor): Audience => {
  if (role === 'installation_auditor') return { scope: 'installation' };
  if (organisation === null) throw new AppError('forbidden', 'Your role does not permit this (log.read).');
  return { scope: 'organisation', organisation };
};

/** Reading the log is itself an entry, committed before what was read is shown. */
export const createReadLog = ({ log, audit, now }: ReadLogDeps) => {
  const record = (
    actor: UserActor,
    request: string,
    seqs: readonly number[],
    outcome: 'success' | 'denied' = 'success',
  ) =>
    audit.append({
      ...eventBase(actor, request, now()),
      action: 'log.read',
      outcome,
      detail: {
        count: seqs.length,
        first: seqs.length === 0 ? null : Math.min(...seqs),
        last: seqs.length === 0 ? null : Math.max(...seqs),
      },
    });

  return {
    async search(actor: UserActor, query: Omit<LogSearch, 'audience'>, request: string): Promise<LogPage> {
      const page = await log.search({ ...query, audience: audienceOf(actor) });
      await record(
        actor,
        request,
        page.entries.map(({ seq }) => seq),
      );
      return page;
    },

    /** Rejects with `not_found` for another organisation's entry as for one that does not exist. */
    async entry(actor: UserActor, seq: number, request: string): Promise<LogEntry> {
      const entry = await log.read(seq, audienceOf(actor));
      if (entry === null) {
        await record(actor, request, [], 'denied');
        throw new AppError('not_found', 'There is no such entry.');
      }
      await record(actor, request, [seq]);
      return entry;
    },
  };
};

export type ReadLog = ReturnType<typeof createReadLog>;
