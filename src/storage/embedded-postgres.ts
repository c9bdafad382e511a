import { type ChildProcess, spawn } from 'node:child_process';
import { chown, readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { checkCluster, clusterOwner, createCluster, letThrough } from './postgres-cluster.ts';
import {
  choosePostgresIdentity,
  commandAs,
  type PostgresIdentity,
  possibleIdentities,
} from './postgres-identity.ts';
import { endLeftovers, readPostmasterFile } from './postgres-leftovers.ts';
import { findPostgresPrograms, type PostgresPrograms } from './postgres-programs.ts';
import { ensureSecretFile } from './secret-file.ts';

export type EmbeddedPostgresOptions = {
  /** Existing owner-only folder for everything of the server (`<data>/postgres`). */
  readonly folder: string;
  /** Existing owner-only folder for its socket, short enough for one ({@link openSocketFolder}). */
  readonly socketDir: string;
  /** Lines of the server's own log, without statements or values. */
  readonly log: (line: string) => void;
  /** Server settings beyond or instead of the ordinary ones. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Ways to run it, best first; by default those that fit this process. */
  readonly identities?: readonly PostgresIdentity[];
};

export type EmbeddedPostgres = {
  readonly clusterDir: string;
  readonly identity: PostgresIdentity['kind'];
  readonly pid: number;
  /** The server before this one was not shut down in order, or had to be ended first. */
  readonly recovered: boolean;
  /** The superuser, for the time of a migration only. Database `postgres`. */
  readonly superuser: PostgresSettings;
  /** Resolves when the server has ended, for whatever reason. */
  readonly exited: Promise<void>;
  /** Fast shutdown: transactions are rolled back, everything committed is on disk. Safe to call twice. */
  stop(): Promise<void>;
};

/** PostgreSQL names its socket after a port; without a network listener it means nothing else. */
export const SOCKET_PORT = 5432;

/** Recovery after a crash replays at most `max_wal_size`; this is far beyond it. */
const START_LIMIT_MS = 120_000;
/** Then an orderly shutdown is given up for a recovery at the next start, before the vault's own time for closing is over. */
const FAST_LIMIT_MS = 10_000;

/** Nothing on the network; durable; and a log that holds neither statements nor values, for both may be personal data. */
const ordinarySettings = (socketDir: string): Readonly<Record<string, string>> => ({
  listen_addresses: '',
  port: String(SOCKET_PORT),
  unix_socket_directories: socketDir,
  unix_socket_permissions: '0700',
  max_connections: '60',
  shared_buffers: '128MB',
  max_wal_size: '512MB',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  password_encryption: 'scram-sha-256',
  logging_collector: 'off',
  log_destination: 'stderr',
  log_line_prefix: '',
  // An error's own words may quote a value. Whoever caused it is told; the log keeps the server's life (LOG) and deaths.
  log_min_messages: 'log',
  log_statement: 'none',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_checkpoints: 'off',
});

const serverArguments = (clusterDir: string, settings: Readonly<Record<string, string>>): string[] => [
  '-D',
  clusterDir,
  ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
];

/** Keeps the last lines, for the sentence of a failed start. */
const followLog = (child: ChildProcess, log: (line: string) => void): (() => string) => {
  const last: string[] = [];
  let rest = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(-4_000);
    for (const line of lines) {
      last.push(line);
      if (last.length > 20) last.shift();
      log(line);
    }
  });
  return () => [...last, rest].join('\n');
};

const launch = async (
  clusterDir: string,
  programs: PostgresPrograms,
  identity: PostgresIdentity,
  settings: Readonly<Record<string, string>>,
  log: (line: string) => void,
): Promise<{ child: ChildProcess; exited: Promise<void> }> => {
  const command = commandAs(identity, programs, programs.postgres, serverArguments(clusterDir, settings));
  // A session of its own: Ctrl-C in a terminal reaches the vault, which stops the server last.
  const child = spawn(command.file, command.args, {
    ...command.options,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lastLines = followLog(child, log);
  let ended = false;
  const exited = new Promise<void>((resolve) => {
    const end = (): void => {
      ended = true;
      resolve();
    };
    child.once('exit', end);
    child.once('error', end);
  });
  for (const until = Date.now() + START_LIMIT_MS; ; await sleep(10)) {
    const file = await readPostmasterFile(clusterDir);
    if (!ended && file?.pid === child.pid && file?.ready) return { child, exited };
    if (ended || Date.now() > until) {
      child.kill('SIGQUIT');
      throw new AppError('database_unavailable', 'The embedded PostgreSQL did not start: see the cause.', {
        cause: new Error(lastLines()),
      });
    }
  }
};

/** Ways that fit the owner of an existing cluster: one that an account of this machine owns cannot be served by us. */
const identitiesFor = async (
  clusterDir: string,
  options: EmbeddedPostgresOptions,
): Promise<readonly PostgresIdentity[]> => {
  const uid = process.getuid?.() ?? -1;
  const ways =
    options.identities ?? possibleIdentities(uid, await readFile('/etc/passwd', 'utf8').catch(() => ''));
  const owner = await clusterOwner(clusterDir);
  return owner === null || owner === uid ? ways : ways.filter((way) => way.owner?.uid === owner);
};

/**
 * Starts a real PostgreSQL on `folder`, making its cluster and its superuser's password at the first start. It listens on
 * the Unix socket alone. Whatever a killed vault left running on the cluster is ended first; when this process dies, the
 * kernel asks the server to stop. The caller holds the lock of the data folder.
 * Throws `config_invalid` or `database_unavailable` with what to do.
 */
export const startEmbeddedPostgres = async (options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> => {
  const folder = await realpath(options.folder);
  const clusterDir = join(folder, 'cluster');
  const programs = await findPostgresPrograms(join(folder, 'lib'));
  const identity = await choosePostgresIdentity(
    programs,
    await identitiesFor(clusterDir, options),
    async (account) => {
      for (const closed of [dirname(folder), folder]) await letThrough(closed, account);
      await chown(options.socketDir, account.uid, account.gid);
    },
  );
  const password = await ensureSecretFile(join(folder, 'superuser.password'));
  if ((await clusterOwner(clusterDir)) === null)
    await createCluster(clusterDir, password, programs, identity);
  await checkCluster(clusterDir, identity);
  const recovered = (await readPostmasterFile(clusterDir)) !== null;
  await endLeftovers(clusterDir, options.socketDir);
  const settings = { ...ordinarySettings(options.socketDir), ...options.settings };
  const { child, exited } = await launch(clusterDir, programs, identity, settings, options.log);
  return Object.freeze({
    clusterDir,
    identity: identity.kind,
    pid: child.pid as number,
    recovered,
    superuser: {
      host: options.socketDir,
      port: SOCKET_PORT,
      user: 'postgres',
      password,
      database: 'postgres',
    },
    exited,
    stop: async () => {
      child.kill('SIGINT');
      const orderly = await Promise.race([
        exited.then(() => true),
        sleep(FAST_LIMIT_MS, false, { ref: false }),
      ]);
      if (!orderly) child.kill('SIGQUIT');
      await exited;
    },
  });
};
