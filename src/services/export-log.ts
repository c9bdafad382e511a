import type { AuditReader, HearingEntry, LogEntry, LogSearch } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { mayEver, type UserActor } from '../core/access.ts';
import { hearingActions } from '../core/audit/hearing-lists.ts';
import { AppError } from '../core/errors.ts';
import type { PeriodAsked } from './ask-log.ts';
import type { Authenticate, Credential } from './authenticate.ts';
import { eventBase } from './event-base.ts';
import { audienceOf, type LogQuery, type LogQuestion } from './log-question.ts';

export type ExportLogDeps = {
  readonly log: Pick<AuditReader, 'search' | 'hearings' | 'count' | 'head'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly logQuestion: LogQuestion;
  readonly authenticate: Authenticate;
  readonly installationId: string;
  readonly now: () => number;
};

type Asked = {
  readonly actor: UserActor;
  /** By which each page after the first is permitted anew: a file may be taken slowly. */
  readonly credential: Credential;
  /** The word of the file's form, and by what kinds of criteria was chosen; both are words of ours. */
  readonly format: string;
  readonly criteria: readonly string[];
  readonly request: string;
};

/** The entries come page by page as they are taken; whoever stops taking them ends it. */
export type LogExport<T> = {
  readonly count: number;
  readonly entries: AsyncIterable<T>;
  readonly installationId: string;
};

/** Entries that one file holds at the most; a search that finds more is refused, not cut. */
export const MAX_EXPORTED = 100_000;
/** Held in memory at a time. */
const PAGE = 200;

type PageOf<T> = (at: {
  readonly cursor?: string;
  readonly limit: number;
  readonly size: number;
}) => Promise<{
  readonly entries: readonly T[];
  readonly next: string | null;
}>;

/** All pages. Rejects with `integrity_failure` when there are not as many entries as the log's own entry says were taken. */
async function* walk<T>(pageOf: PageOf<T>, size: number, count: number): AsyncGenerator<T> {
  let taken = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await pageOf({ limit: PAGE, size, ...(cursor === undefined ? {} : { cursor }) });
    taken += page.entries.length;
    yield* page.entries;
    if (page.next === null) break;
    cursor = page.next;
  }
  if (taken !== count)
    throw new AppError('integrity_failure', 'The entries of the log changed while they were exported.');
}

/**
 * The log as a file: what it had when it was asked for, and nothing that is added meanwhile. That it was taken, by what kinds
 * of criteria and how much of it, is an entry, committed before the first of it is given.
 */
export const createExportLog = (deps: ExportLogDeps) => {
  const { log, audit, logQuestion, installationId, now } = deps;

  /** Rejects with `unauthenticated` or `forbidden` once the session has ended or the role does not permit it any more. */
  const permitAgain = async ({ actor, credential }: Asked): Promise<void> => {
    const { role, organisation } = await deps.authenticate(credential);
    if (!mayEver(role, 'log.export') || organisation !== actor.organisation)
      throw new AppError('forbidden', 'Your role does not permit this (log.export).');
  };

  const begin = async <T>(asked: Asked, query: LogSearch, pageOf: PageOf<T>): Promise<LogExport<T>> => {
    const { size } = await log.head();
    const { count, first, last } = await log.count({ ...query, size }, MAX_EXPORTED + 1);
    if (count > MAX_EXPORTED)
      throw new AppError('invalid_request', 'This is more than one file holds.', {
        faults: [{ where: 'from', fault: `more than ${MAX_EXPORTED} entries: ask for a shorter time` }],
      });
    const { format, criteria } = asked;
    await audit.append({
      ...eventBase(asked.actor, asked.request, now()),
      action: 'log.exported',
      outcome: 'success',
      detail: { format, criteria, count, first, last },
    });
    const permitted: PageOf<T> = async (at) => {
      if (at.cursor !== undefined) await permitAgain(asked);
      return pageOf(at);
    };
    return { count, installationId, entries: walk(permitted, size, count) };
  };

  return {
    /** Every entry that a search finds, newest first. */
    async entries(asked: Asked & { readonly query: LogQuery }): Promise<LogExport<LogEntry>> {
      const query = await logQuestion(asked.actor, asked.query);
      return begin(asked, query, (at) => log.search({ ...query, ...at }));
    },

    /** Who heard one recording, in a period; the caller has made sure that it is one of the actor's. */
    async hearings(
      asked: Asked & { readonly recording: string; readonly period: PeriodAsked },
    ): Promise<LogExport<HearingEntry>> {
      const { actor, recording, period } = asked;
      const query = { ...period, audience: audienceOf(actor), recording };
      return begin(asked, { ...query, actions: hearingActions }, (at) => log.hearings({ ...query, ...at }));
    },
  };
};

export type ExportLog = ReturnType<typeof createExportLog>;
