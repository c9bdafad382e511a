import type { AuditReader, HearingEntry, HearingPage, LogPage, Tally } from '../audit/reader.ts';
import type { UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { RecordingTable } from '../storage/recording-table.ts';
import type { SourceTable } from '../storage/source-table.ts';
import type { UserTable } from '../storage/user-table.ts';
import { audienceOf, type RecordReading } from './log-question.ts';

export type { HearingEntry, HearingPage, Tally };

export type AskLogDeps = {
  readonly log: Pick<AuditReader, 'search' | 'hearings' | 'count' | 'tally'>;
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly users: Pick<UserTable, 'find'>;
  readonly sources: Pick<SourceTable, 'find'>;
  readonly recordReading: RecordReading;
};

export type PageAsked = { readonly cursor?: string; readonly limit?: number };
export type PeriodAsked = { readonly from?: number; readonly to?: number };

export type Activity = LogPage & {
  /** On the first page only. `complete`: all entries of the period were counted, not just the newest {@link MAX_COUNTED}. */
  readonly counts: { readonly tallies: readonly Tally[]; readonly complete: boolean } | null;
};

/** Entries that are counted for one answer, for each is read where it lies: two months of somebody who does fifty things a day. */
export const MAX_COUNTED = 3_000;

/**
 * The two questions that are asked of an access log, each answered in one call. What is asked about is known by the log
 * itself, so an answer outlives the recording; the tables say only whether something exists that the log has nothing about.
 */
export const createAskLog = ({ log, recordings, users, sources, recordReading }: AskLogDeps) => {
  const hidden = async (actor: UserActor, request: string, what: string): Promise<never> => {
    await recordReading(actor, request, [], 'denied');
    throw new AppError('not_found', `There is no such ${what}.`);
  };

  /** A refused attempt upon another organisation's recording is an entry of ours, and does not make it ours. */
  const knowsRecording = async (actor: UserActor, recording: string): Promise<boolean> => {
    const told = await log.count({ audience: audienceOf(actor), recording, outcome: 'success' }, 1);
    if (told.count > 0) return true;
    const row = await recordings.find(recording);
    return row !== null && actor.organisation !== null && row.organisationId === actor.organisation;
  };

  const knowsActor = async (actor: UserActor, id: string): Promise<boolean> => {
    if ((await log.count({ audience: audienceOf(actor), actor: id }, 1)).count > 0) return true;
    const user = await users.find(id);
    if (user !== null) return user.organisationId === actor.organisation;
    const source = await sources.find(id);
    return source !== null && source.organisationId === actor.organisation;
  };

  /** Rejects with `not_found` for another organisation's recording as for one that does not exist. */
  const assertRecording = async (actor: UserActor, recording: string, request: string): Promise<void> => {
    if (!(await knowsRecording(actor, recording))) await hidden(actor, request, 'recording');
  };

  /** Rejects with `not_found` for another organisation's person or telephony system as for one that does not exist. */
  const assertActor = async (actor: UserActor, id: string, request: string): Promise<void> => {
    if (!(await knowsActor(actor, id))) await hidden(actor, request, 'person or source');
  };

  return {
    assertRecording,
    assertActor,

    /**
     * Who heard this recording: opened, refused, taken out, erased, newest first, with the parts that players stated, of a
     * playback that was opened within the period also later.
     */
    async whoHeard(asked: {
      readonly actor: UserActor;
      readonly recording: string;
      readonly period: PeriodAsked;
      readonly page: PageAsked;
      readonly request: string;
    }): Promise<HearingPage> {
      const { actor, recording, request } = asked;
      await assertRecording(actor, recording, request);
      const query = { ...asked.period, audience: audienceOf(actor), recording };
      const page = await log.hearings({ ...query, ...asked.page });
      const seqs = page.entries.map(({ seq }) => seq);
      await recordReading(actor, request, seqs);
      return page;
    },

    /** What this person, or telephony system, did: how often each thing, and the entries, newest first. */
    async activity(asked: {
      readonly actor: UserActor;
      readonly id: string;
      readonly period: PeriodAsked;
      readonly page: PageAsked;
      readonly request: string;
    }): Promise<Activity> {
      const { actor, id, request } = asked;
      await assertActor(actor, id, request);
      const query = { ...asked.period, audience: audienceOf(actor), actor: id };
      const [page, tallies] = await Promise.all([
        log.search({ ...query, ...asked.page }),
        asked.page.cursor === undefined ? log.tally(query, MAX_COUNTED) : null,
      ]);
      const seqs = page.entries.map(({ seq }) => seq);
      await recordReading(actor, request, seqs);
      const counted = tallies?.reduce((sum, { count }) => sum + count, 0) ?? 0;
      const counts = tallies && { tallies, complete: counted < MAX_COUNTED };
      return { ...page, counts };
    },
  };
};

export type AskLog = ReturnType<typeof createAskLog>;
