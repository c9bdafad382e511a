import { assertGuarded, describeGuardFaults } from '../audit/log-guards.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { type Database, type DatabaseOptions, openDatabase } from '../storage/database.ts';
import type { Closers } from './closers.ts';
import type { Purpose } from './purpose.ts';

export type GuardedDatabase = {
  readonly database: Database;
  /** What is wrong with what guards the access log, in a few sentences; null when nothing is. Rejects with `log_unavailable`. */
  readonly guards: () => Promise<string | null>;
};

/**
 * Opens the database. The vault does not serve beside a log that is not guarded as this release made it: rejects with
 * `integrity_failure`. Commands go on, for they tell of it, or what the log is worth. A role that can do too much is refused
 * to both with `config_invalid`, unless a command wants to be told of it; the vault never does.
 */
export const openGuarded = async (
  settings: PostgresSettings,
  purpose: Purpose,
  closers: Closers,
  excess: NonNullable<DatabaseOptions['excess']>,
): Promise<GuardedDatabase> => {
  const database = await openDatabase(settings, { excess: purpose === 'serve' ? 'refused' : excess });
  closers.add(() => database.close());
  if (purpose === 'serve') await assertGuarded(database.pool);
  return { database, guards: () => describeGuardFaults(database.pool) };
};
