import {
  chmod,
  chown,
  lchown,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../core/errors.ts';
import { type Account, failureOf, type PostgresIdentity } from './postgres-identity.ts';
import { POSTGRES_MAJOR, type PostgresPrograms } from './postgres-programs.ts';
import { syncFolder } from './secret-file.ts';

/** The only way in: passwords over the Unix socket. There is no network listener, and no line here would let one in. */
const HBA = `# Written by Callvault at the first start.
local all         all      scram-sha-256
local replication postgres scram-sha-256
`;

/** Lets the account that runs the server pass through (not list) a folder that stays root's and closed to all others. */
export const letThrough = async (folder: string, { gid }: Account): Promise<void> => {
  await chown(folder, 0, gid);
  await chmod(folder, 0o710);
};

const giveTo = async (path: string, { uid, gid }: Account): Promise<void> => {
  await lchown(path, uid, gid);
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await giveTo(join(path, entry.name), { name: '', uid, gid });
    else await lchown(join(path, entry.name), uid, gid);
};

/** User id that owns the cluster, or null before the first start. */
export const clusterOwner = async (clusterDir: string): Promise<number | null> =>
  (await stat(clusterDir).catch(() => null))?.uid ?? null;

const initdbArguments = (draft: string, passwordFile: string): readonly string[] => [
  `--pgdata=${draft}`,
  '--username=postgres',
  `--pwfile=${passwordFile}`,
  '--auth-local=scram-sha-256',
  '--auth-host=scram-sha-256',
  '--encoding=UTF8',
  '--locale=C',
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  '--data-checksums',
  '--no-instructions',
];

/**
 * Makes the data folder of a new server at `clusterDir`. It is made elsewhere and renamed, so a first start that was
 * killed midway leaves nothing that looks like a cluster. Durable when it resolves.
 */
export const createCluster = async (
  clusterDir: string,
  superuserPassword: string,
  programs: PostgresPrograms,
  identity: PostgresIdentity,
): Promise<void> => {
  const workshop = `${clusterDir}.new`;
  const draft = join(workshop, 'cluster');
  const passwordFile = join(workshop, 'password');
  await rm(workshop, { recursive: true, force: true });
  await mkdir(workshop, { mode: 0o700 });
  await writeFile(passwordFile, superuserPassword, { mode: 0o600, flag: 'wx' });
  if (identity.owner !== null) await giveTo(workshop, identity.owner);
  const failure = await failureOf(identity, programs, programs.initdb, initdbArguments(draft, passwordFile));
  if (failure !== null)
    throw new AppError(
      'database_unavailable',
      'The embedded PostgreSQL could not make its data folder: see the cause, and look at the free space and the owner of the folder.',
      { cause: new Error(failure) },
    );
  const hba = await open(join(draft, 'pg_hba.conf'), 'r+');
  try {
    await hba.truncate(0);
    await hba.writeFile(HBA);
    await hba.sync();
  } finally {
    await hba.close();
  }
  await rename(draft, clusterDir);
  await rm(workshop, { recursive: true, force: true });
  await syncFolder(dirname(clusterDir));
};

/** Throws `config_invalid` for a cluster that these programs cannot serve; hands it to the server's account if need be. */
export const checkCluster = async (clusterDir: string, identity: PostgresIdentity): Promise<void> => {
  const version = (await readFile(join(clusterDir, 'PG_VERSION'), 'utf8').catch(() => '')).trim();
  if (version !== String(POSTGRES_MAJOR))
    throw new AppError(
      'config_invalid',
      version === ''
        ? `${clusterDir} is not a PostgreSQL data folder: restore it from a backup, or move it away to begin anew.`
        : `${clusterDir} was made by PostgreSQL ${version}, and this release brings ${POSTGRES_MAJOR}: move the data with backup and restore.`,
    );
  if (identity.owner !== null && (await clusterOwner(clusterDir)) !== identity.owner.uid)
    await giveTo(clusterDir, identity.owner);
};
