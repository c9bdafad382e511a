import { type Config, readConfig, readEnvironment } from '../../config.ts';
import { AppError } from '../../core/errors.ts';
import { migrateDatabase } from '../../resources/migrate-database.ts';
import { prepareBucket } from '../../resources/open-objects.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData } from '../print.ts';

const databaseOf = async ({
  database,
  migrateDatabase: owner,
  retentionDatabase,
}: Config): Promise<readonly string[]> => {
  if (database === null) return ['The embedded database is brought up to date at every start.'];
  if (owner === null)
    throw new AppError(
      'config_invalid',
      'Set MIGRATE_DATABASE_URL: the database of DATABASE_URL as the role that owns it and may create roles.',
    );
  return migrateDatabase(owner, database, retentionDatabase);
};

/**
 * Brings the database of DATABASE_URL to this release and lets its role in; makes the bucket of S3_BUCKET. Does what is not
 * done yet, so it can be run again.
 */
export const migrateCommand = async (): Promise<number> => {
  const config = readConfig(readEnvironment(process.cwd()));
  if (config.database === null && config.s3 === null)
    throw new AppError(
      'config_invalid',
      'There is nothing to migrate: without DATABASE_URL the embedded database is brought up to date at every start.',
    );
  for (const line of await databaseOf(config)) printData(line);
  if (config.s3 !== null) printData(await prepareBucket(config.s3));
  return exitCodes.clean;
};
