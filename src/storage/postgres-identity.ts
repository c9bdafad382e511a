import { type SpawnOptions, spawn } from 'node:child_process';
import { AppError } from '../core/errors.ts';
import type { PostgresPrograms } from './postgres-programs.ts';

/**
 * Who PostgreSQL runs as, and how its life is tied to ours. It refuses to run as root, and `initdb` refuses a user id
 * without an entry in /etc/passwd (usual in containers).
 */
export type PostgresIdentity = {
  readonly kind: 'self' | 'namespace' | 'account';
  /** Programs put before PostgreSQL's own; each replaces itself, so the process id stays the one that was spawned. */
  readonly prefix: readonly string[];
  /** Who must own its files; null when files of ours are its own. */
  readonly owner: Account | null;
};

export type Account = { readonly name: string; readonly uid: number; readonly gid: number };

/** The kernel asks the server to stop (fast shutdown) in the moment this process dies, however it dies. */
const LIFELINE = ['setpriv', '--pdeathsig', 'INT'] as const;

/** A user namespace in which our own files belong to an ordinary user: in place, nothing changes its owner. */
const namespaceOf = ({ uid, gid }: Account): readonly string[] => [
  'unshare',
  '--user',
  `--map-user=${uid}`,
  `--map-group=${gid}`,
];

const accountsOf = (passwd: string): readonly Account[] =>
  passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    return name !== undefined && /^\d+$/.test(uid ?? '') && /^\d+$/.test(gid ?? '')
      ? [{ name, uid: Number(uid), gid: Number(gid) }]
      : [];
  });

/** Every way that could work for this process, best first. `uid` and `passwd` are arguments so that each case can be tried. */
export const possibleIdentities = (uid: number, passwd: string): readonly PostgresIdentity[] => {
  const accounts = accountsOf(passwd);
  const ordinary = accounts.find(({ name }) => name === 'postgres') ?? accounts.find((one) => one.uid !== 0);
  const ways: PostgresIdentity[] = [];
  if (uid !== 0 && accounts.some((one) => one.uid === uid))
    ways.push({ kind: 'self', prefix: [], owner: null });
  else if (ordinary !== undefined)
    ways.push({ kind: 'namespace', prefix: namespaceOf(ordinary), owner: null });
  const stranger =
    accounts.find(({ name }) => name === 'postgres') ?? accounts.find(({ name }) => name === 'nobody');
  if (uid === 0 && stranger !== undefined) ways.push({ kind: 'account', prefix: [], owner: stranger });
  return ways.flatMap((way) => [{ ...way, prefix: [...way.prefix, ...LIFELINE] }, way]);
};

/** What `spawn` needs to run `program` under `identity`. */
export const commandAs = (
  identity: PostgresIdentity,
  programs: PostgresPrograms,
  program: string,
  args: readonly string[],
): { readonly file: string; readonly args: readonly string[]; readonly options: SpawnOptions } => {
  const [file, ...rest] = [...identity.prefix, program, ...args] as [string, ...string[]];
  const { owner } = identity;
  return {
    file,
    args: rest,
    options: { env: programs.env, cwd: '/', ...(owner === null ? {} : { uid: owner.uid, gid: owner.gid }) },
  };
};

/** Runs a program to its end. Resolves to what it said on stderr when it failed, or to null. */
export const failureOf = (
  identity: PostgresIdentity,
  programs: PostgresPrograms,
  program: string,
  args: readonly string[],
): Promise<string | null> =>
  new Promise((resolve) => {
    const command = commandAs(identity, programs, program, args);
    const child = spawn(command.file, command.args, {
      ...command.options,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4_000);
    });
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code) => resolve(code === 0 ? null : said.trim() || `it ended with ${code}`));
  });

/**
 * The first of `ways` in which the server program really runs here. An account of the machine is tried last, and only
 * after `admit` has let it through to the files it needs. Throws `config_invalid` saying what was tried.
 */
export const choosePostgresIdentity = async (
  programs: PostgresPrograms,
  ways: readonly PostgresIdentity[],
  admit: (account: Account) => Promise<void>,
): Promise<PostgresIdentity> => {
  const failures: string[] = [];
  for (const identity of ways) {
    if (identity.owner !== null) await admit(identity.owner);
    const failure = await failureOf(identity, programs, programs.postgres, ['--version']);
    if (failure === null) return identity;
    failures.push(`${[...identity.prefix, 'postgres'].join(' ')}: ${failure}`);
  }
  throw new AppError(
    'config_invalid',
    'The embedded PostgreSQL cannot run here: it refuses to run as root, and no other identity works (user namespaces are off, and no account of this machine reaches its program and data). Start the vault as an ordinary user, move checkout and data to a folder that others may enter (such as /srv), or set DATABASE_URL.',
    { cause: new Error(failures.join('\n')) },
  );
};
