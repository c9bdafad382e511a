import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { createLogEvidence } from '../audit/log-evidence.ts';
import { createAuditReader } from '../audit/reader.ts';
import { createAuditWriter } from '../audit/writer.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { unmuted } from '../logger.ts';
import type { Closers } from './closers.ts';
import type { Purpose } from './purpose.ts';

/** The access log, read and written on connections of its own. */
export const openLog = (postgres: PostgresSettings, purpose: Purpose, logger: Logger, closers: Closers) => {
  const log = createAuditReader({ postgres, log: logger });
  closers.add(() => log.close());
  const evidence = createLogEvidence({ postgres, log: logger });
  closers.add(() => evidence.close());
  const writer = `${purpose}-${hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, 30)}-${process.pid}`;
  const audit = createAuditWriter({ postgres, writer, randomBytes, log: logger, headLog: unmuted(logger) });
  closers.add(() => audit.close());
  return { log, audit, evidence };
};
