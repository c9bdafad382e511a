import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { LiveVerifyOptions } from '../audit/live-verify.ts';
import { createLogBodies, createPrune } from '../audit/log-bodies.ts';
import type { AuditReader } from '../audit/reader.ts';
import { type AuditWriter, createAuditWriter } from '../audit/writer.ts';
import type { Config } from '../config.ts';
import type { Verdict } from '../core/audit/verify.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import type { Passwords } from '../crypto/passwords.ts';
import { createDeclareEpoch, type DeclareEpoch } from '../services/declare-epoch.ts';
import { createPruneLog, type PruneLog } from '../services/prune-log.ts';
import { createRecordVerification } from '../services/record-verification.ts';
import { createVerifyNightly, type VerifyNightly } from '../services/verify-nightly.ts';
import type { HoldTable } from '../storage/hold-table.ts';
import { assertLeastPrivilege } from '../storage/least-privilege.ts';
import type { UserTable } from '../storage/user-table.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { Purpose } from './purpose.ts';

export type LogUpkeep = {
  readonly declareEpoch: DeclareEpoch;
  /** Re-derives the whole access log and compares it with what the database says, and with heads known from elsewhere. */
  readonly verify: (options: Omit<LiveVerifyOptions, 'postgres'>) => Promise<Verdict>;
  readonly nightly: VerifyNightly;
  /** Removes old bodies of the log as the role given, which must be able to do nothing else. */
  readonly prunerAs: (retention: PostgresSettings) => PruneLog;
};

export type LogUpkeepOptions = {
  readonly config: Pick<Config, 'auditRetentionYears' | 'verifyAtHour'>;
  readonly purpose: Purpose;
  readonly logger: Logger;
  readonly checkpoints: Pick<Checkpoints, 'epochs'>;
  readonly users: UserTable;
  readonly passwords: Passwords;
  readonly postgres: PostgresSettings;
  readonly audit: AuditWriter;
  readonly log: AuditReader;
  readonly holds: Pick<HoldTable, 'heldRecordings'>;
  readonly now: () => number;
};

/** The nightly verification gives way: it holds the process up for some milliseconds at a time, and rests as long again. */
const NIGHTLY_PAGE = 256;
const NIGHTLY_REST_MS = 20;

const pauseOf = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const nightlyOf = ({ config, purpose, postgres, audit, log, logger, now }: LogUpkeepOptions): VerifyNightly =>
  createVerifyNightly({
    verify: async (options) => {
      const { verifyLiveAlone } = await import('../audit/live-verify.ts');
      const pause = (): Promise<void> => pauseOf(NIGHTLY_REST_MS);
      return verifyLiveAlone({ postgres, pageEntries: NIGHTLY_PAGE, pause, ...options });
    },
    audit,
    log,
    record: createRecordVerification({ audit, now }),
    alarm: ({ size, root, faults }) =>
      logger.error(
        { size, root, findings: faults },
        'ALARM: the nightly verification of the access log found a fault; keep this database as it is and call your security officer',
      ),
    atHour: config.verifyAtHour,
    now,
    since: purpose === 'serve' ? now() : null,
  });

/** What is done with the access log as a whole, seldom. Opens nothing before it is asked. */
export const createLogUpkeep = (options: LogUpkeepOptions): LogUpkeep => {
  const { config, postgres, holds, ...shared } = options;
  return {
    nightly: nightlyOf(options),
    declareEpoch: createDeclareEpoch({
      users: options.users,
      passwords: options.passwords,
      epochs: options.checkpoints.epochs,
      openWriter: () =>
        createAuditWriter({ postgres, writer: `declare-${process.pid}`, randomBytes, log: options.logger }),
      now: options.now,
    }),
    verify: async (asked) => {
      // Loaded when asked for: it is needed once a day.
      const { verifyLive } = await import('../audit/live-verify.ts');
      return verifyLive({ postgres, ...asked });
    },
    prunerAs: (retention) =>
      createPruneLog({
        ...shared,
        holds,
        bodies: createLogBodies(postgres),
        prune: createPrune(retention, (client) => assertLeastPrivilege(client, 'retention')),
        floorYears: config.auditRetentionYears,
        pause: pauseOf,
      }),
  };
};
