import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { openDatabase } from './database.ts';
import { CLUSTER } from './embedded-database.ts';
import { createInstallationTable } from './installation-table.ts';

type Where = { readonly dataDir: string; readonly database: PostgresSettings | null };

const hasInstallation = async (settings: PostgresSettings): Promise<boolean> => {
  // Whether the role can do too much is asked where the vault is opened.
  const database = await openDatabase(settings, { connections: 1, excess: 'told' });
  try {
    return (await createInstallationTable(database.prisma).find()) !== null;
  } finally {
    await database.close();
  }
};

const isThere = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    // What cannot be looked at is there: opening it says what is wrong with it.
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
  );

/** Throws `config_invalid` where a vault has never been started; reads, and makes nothing. */
export const assertFounded = async ({ dataDir, database }: Where): Promise<void> => {
  const founded = await (database === null ? isThere(join(dataDir, CLUSTER)) : hasInstallation(database));
  if (founded) return;
  throw new AppError(
    'config_invalid',
    database === null
      ? `There is no vault in ${dataDir}: set DATA_DIR, or run it where the vault runs.`
      : 'There is no vault in the database of DATABASE_URL: see that it is the right one, and start the vault first.',
  );
};
