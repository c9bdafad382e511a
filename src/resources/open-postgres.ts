import { rmdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { findInstance, openDataFolder } from '../storage/data-folder.ts';
import {
  attachEmbeddedDatabase,
  type EmbeddedDatabase,
  openEmbeddedDatabase,
} from '../storage/embedded-database.ts';
import { openSocketFolder } from '../storage/socket-folder.ts';
import type { Closers } from './closers.ts';
import type { Purpose } from './purpose.ts';

export type OpenedPostgres = {
  readonly settings: PostgresSettings;
  readonly embedded: EmbeddedDatabase | null;
  /** False beside a vault that runs on the same data folder. */
  readonly alone: boolean;
  /** Tells commands that come later where the vault answers; nothing for a command beside a running vault. */
  readonly announce: (url: string | null, doctor?: string) => Promise<void>;
  readonly socketDir: string | null;
};

/** Null where there can be none: the vault works without, and commands judge by their own settings. */
const ownSocketFolder = async (dataDir: string, closers: Closers): Promise<string | null> => {
  const path = await openSocketFolder(dataDir).catch(() => null);
  // Empty by then; one that is not in the data folder would be left lying about.
  if (path !== null && !path.startsWith(dataDir)) closers.add(() => rmdir(path));
  return path;
};

/** The database of DATABASE_URL, the embedded one, or the embedded one that a running vault has open already. */
export const openPostgres = async (
  config: Config,
  purpose: Purpose,
  logger: Logger,
  closers: Closers,
): Promise<OpenedPostgres> => {
  const running = purpose === 'command' ? await findInstance(config.dataDir) : null;
  if (running !== null)
    return {
      settings: config.database ?? (await attachEmbeddedDatabase(config.dataDir, running.socketDir ?? '')),
      embedded: null,
      alone: false,
      announce: async () => undefined,
      socketDir: null,
    };
  const folder = await openDataFolder(config.dataDir);
  closers.add(() => folder.close());
  const embedded =
    config.database === null
      ? await openEmbeddedDatabase(folder, (line) =>
          logger.debug({ postgres: line.slice(0, 500) }, 'database'),
        )
      : null;
  if (embedded !== null) closers.add(() => embedded.stop());
  const startedAt = new Date().toISOString();
  const announce = (url: string | null, doctor: string | null = null): Promise<void> =>
    folder.announce({
      pid: process.pid,
      startedAt,
      command: purpose,
      url,
      socketDir: embedded?.socketDir ?? null,
      doctor,
    });
  await announce(null);
  return {
    settings: config.database ?? (embedded as EmbeddedDatabase).settings,
    embedded,
    alone: true,
    announce,
    socketDir:
      embedded?.socketDir ?? (purpose === 'serve' ? await ownSocketFolder(folder.path, closers) : null),
  };
};

export const lossOf = async ({ embedded }: OpenedPostgres): Promise<string> => {
  await (embedded === null ? new Promise(() => undefined) : embedded.exited);
  return 'the embedded PostgreSQL ended';
};
