import { InvalidArgumentError } from 'commander';
import { AppError } from '../../core/errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { withResources } from '../with-resources.ts';

/** Midnight UTC of a day, for `--before`. */
export const parseDay = (text: string): number => {
  const at = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(at) || !new Date(at).toISOString().startsWith(text))
    throw new InvalidArgumentError('A day is written like 2021-12-31.');
  return at;
};

/** Removes bodies of the access log that are older than the day and the legal floor, as the role of RETENTION_DATABASE_URL. */
export const pruneLog = async ({
  before,
  json = false,
}: {
  before: number;
  json?: boolean;
}): Promise<number> =>
  withResources(async ({ upkeep }, { database, retentionDatabase }) => {
    if (database === null)
      throw new AppError(
        'config_invalid',
        'The database that the vault runs itself has no role for this: removing old bodies from it is not in this release. It is done with a server of your own (DATABASE_URL).',
      );
    if (retentionDatabase === null)
      throw new AppError(
        'config_invalid',
        'Set RETENTION_DATABASE_URL: the database of DATABASE_URL as the role that may remove old bodies of the access log.',
      );
    const parts = await upkeep.prunerAs(retentionDatabase)(before);
    if (json)
      printData(JSON.stringify({ parts, bodies: parts.reduce((sum, { bodies }) => sum + bodies, 0) }));
    else for (const { from, to, bodies } of parts) printData(`${from}\t${to - 1}\t${bodies}`);
    say(
      parts.length === 0
        ? 'Nothing was removed: no whole partition of the access log is that old.'
        : 'Bodies and salts are removed; what was committed to stays, and the log can still be verified.',
    );
    return exitCodes.clean;
  });
