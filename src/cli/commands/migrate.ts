import { readConfig, readEnvironment } from '../../config.ts';
import { AppError } from '../../core/errors.ts';
import { migrateDatabase } from '../../resources.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData } from '../print.ts';

/** Brings the database of DATABASE_URL to this release and lets its role in. The embedded database migrates itself. */
export const migrateCommand = async (): Promise<number> => {
  const config = readConfig(readEnvironment(process.cwd()));
  if (config.database === null)
    throw new AppError(
      'config_invalid',
      'There is nothing to migrate: without DATABASE_URL the embedded database is brought up to date at every start.',
    );
  if (config.migrateDatabase === null)
    throw new AppError(
      'config_invalid',
      'Set MIGRATE_DATABASE_URL: the database of DATABASE_URL as the role that owns it and may create roles.',
    );
  for (const line of await migrateDatabase(config.migrateDatabase, config.database)) printData(line);
  return exitCodes.clean;
};
