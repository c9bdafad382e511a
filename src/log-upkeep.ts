import type { LiveVerifyOptions } from './audit/live-verify.ts';
import { createLogBodies, createPrune } from './audit/log-bodies.ts';
import type { AuditReader } from './audit/reader.ts';
import type { AuditWriter } from './audit/writer.ts';
import type { Config } from './config.ts';
import type { Verdict } from './core/audit/verify.ts';
import type { PostgresSettings } from './core/postgres-settings.ts';
import { createPruneLog, type PruneLog } from './services/prune-log.ts';
import type { HoldTable } from './storage/hold-table.ts';
import { assertLeastPrivilege } from './storage/least-privilege.ts';

export type LogUpkeep = {
  /** Re-derives the whole access log and compares it with what the database says, and with heads known from elsewhere. */
  readonly verify: (options: Omit<LiveVerifyOptions, 'postgres'>) => Promise<Verdict>;
  /** Removes old bodies of the log as the role given, which must be able to do nothing else. */
  readonly prunerAs: (retention: PostgresSettings) => PruneLog;
};

export type LogUpkeepOptions = {
  readonly config: Pick<Config, 'auditRetentionYears'>;
  readonly postgres: PostgresSettings;
  readonly audit: AuditWriter;
  readonly log: AuditReader;
  readonly holds: Pick<HoldTable, 'heldRecordings'>;
  readonly now: () => number;
};

/** What is done with the access log as a whole, seldom. Opens nothing before it is asked. */
export const createLogUpkeep = ({ config, postgres, holds, ...shared }: LogUpkeepOptions): LogUpkeep => ({
  verify: async (options) => {
    // Loaded when asked for: it is needed once a day.
    const { verifyLive } = await import('./audit/live-verify.ts');
    return verifyLive({ postgres, ...options });
  },
  prunerAs: (retention) =>
    createPruneLog({
      ...shared,
      holds,
      bodies: createLogBodies(postgres),
      prune: createPrune(retention, (client) => assertLeastPrivilege(client, 'retention')),
      floorYears: config.auditRetentionYears,
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    }),
});
