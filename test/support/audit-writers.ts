import { randomBytes } from 'node:crypto';
import { verifyLive } from '../../src/audit/live-verify.ts';
import type { AuditHead } from '../../src/audit/reader.ts';
import { type AuditWriter, createAuditWriter, type WriterLimits } from '../../src/audit/writer.ts';
import type { Verdict } from '../../src/core/audit/verify.ts';
import type { PostgresSettings } from '../../src/core/postgres-settings.ts';
import type { TestDatabase } from './postgres.ts';

export type LogLine = {
  readonly level: 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
};

export type TestWriter = AuditWriter & {
  readonly lines: readonly LogLine[];
  readonly heads: readonly AuditHead[];
};

/** Writers of one test, all ended by `close`. */
export const createTestWriters = (database: TestDatabase) => {
  const writers: AuditWriter[] = [];
  return {
    open: (limits: Partial<WriterLimits> = {}, settings: Partial<PostgresSettings> = {}): TestWriter => {
      const lines: LogLine[] = [];
      const heads: AuditHead[] = [];
      const line = (level: LogLine['level']) => (fields: object, message: string) => {
        lines.push({ level, fields, message });
      };
      const writer = createAuditWriter({
        postgres: { ...database.app, ...settings },
        writer: `test-${writers.length}`,
        randomBytes,
        log: { info: line('info'), warn: line('warn'), error: line('error') },
        limits: { reconnectMs: [20, 50], ...limits },
        onHead: (head) => heads.push(head),
      });
      writers.push(writer);
      return { ...writer, lines, heads };
    },
    close: async (): Promise<void> => {
      await Promise.all(writers.splice(0).map((writer) => writer.close()));
    },
  };
};

/** The verdict over the database as it is now. */
export const verdictOf = (database: TestDatabase): Promise<Verdict> => verifyLive({ postgres: database.app });

/** Settles everything: how many succeeded, and the codes of those that did not. */
export const outcomesOf = async <T>(promises: readonly Promise<T>[]) => {
  const settled = await Promise.allSettled(promises);
  const values = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const codes = settled.flatMap((one) =>
    one.status === 'rejected' ? [(one.reason as { code?: string }).code ?? String(one.reason)] : [],
  );
  return { values, codes };
};
