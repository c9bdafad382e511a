import type { AuditReader, LogEntry, LogPage } from '../audit/reader.ts';
import type { UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import { audienceOf, type LogQuery, type LogQuestion, type RecordReading } from './log-question.ts';

export type { LogEntry, LogQuery };
export { audienceOf };

export type ReadLogDeps = {
  readonly log: Pick<AuditReader, 'search' | 'read'>;
  readonly logQuestion: LogQuestion;
  readonly recordReading: RecordReading;
};

/** Reading the log is itself an entry, committed before what was read is shown. */
export const createReadLog = ({ log, logQuestion, recordReading }: ReadLogDeps) => ({
  async search(actor: UserActor, query: LogQuery, request: string): Promise<LogPage> {
    const page = await log.search(await logQuestion(actor, query));
    const seqs = page.entries.map(({ seq }) => seq);
    await recordReading(actor, request, seqs);
    return page;
  },

  /** Rejects with `not_found` for another organisation's entry as for one that does not exist. */
  async entry(actor: UserActor, seq: number, request: string): Promise<LogEntry> {
    const entry = await log.read(seq, audienceOf(actor));
    if (entry === null) {
      await recordReading(actor, request, [], 'denied');
      throw new AppError('not_found', 'There is no such entry.');
    }
    await recordReading(actor, request, [seq]);
    return entry;
  },
});

export type ReadLog = ReturnType<typeof createReadLog>;
