import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createTestWriters } from './audit-writers.ts';
import { busyEvent } from './busy-log.ts';
import { openCareLine } from './care-line.ts';
import { until } from './child.ts';
import { cutLog } from './cut-log.ts';
import { freePort } from './free-port.ts';
import { guardsOff, guardsOn } from './guards.ts';
import { createHttpClient } from './http-client.ts';
import { startTestDatabase, type TestDatabase, urlOf } from './postgres.ts';
import { ROOMY } from './scene.ts';
import { newVaultFolder, type Ran, type RunningVault, type VaultFolder } from './vault.ts';
import { startWitness, type WitnessProcess } from './witness-process.ts';

/** Entries of the log that is attacked, and of the backup that was made on the way. */
export const SIZE = 100_000;
const PART = 25_000;
const BACKED_UP = 2 * PART;

/** The database that the vault uses, the log as it was before any attack, and a backup of earlier. */
const PRISTINE = 'pristine';
export const BACKUP = 'backup';

export type Finding = { readonly index: number | null; readonly kind: string; readonly message: string };
/** What the command says, and its exit code. */
export type Found = { readonly code: number; readonly first: Finding | undefined; readonly ran: Ran };

const foundIn = (ran: Ran): Found => {
  if (ran.stdout === '') throw new Error(`nothing was printed, but ${ran.stderr}`);
  const { faults = [], files = [] } = JSON.parse(ran.stdout) as {
    faults?: Finding[];
    files?: { faults: Finding[] }[];
  };
  return { code: ran.code, first: [...faults, ...files.flatMap((file) => file.faults)][0], ran };
};

const seed = async (
  database: TestDatabase,
  from: number,
  to: number,
  organisation: string,
): Promise<void> => {
  const writers = createTestWriters(database);
  const writer = writers.open({ queueEvents: SIZE, queueBytes: 2 ** 26, batchEvents: 500 });
  try {
    await Promise.all(
      Array.from({ length: to - from }, (_, i) =>
        writer.append({ ...busyEvent(from + i), at: Date.now(), organisation }),
      ),
    );
  } finally {
    await writers.close();
  }
};

const withAdmin = async (database: TestDatabase, statements: readonly string[]): Promise<void> => {
  const admin = new pg.Client({ ...database.superuser, database: 'postgres' });
  await admin.connect();
  try {
    for (const statement of statements) await admin.query(statement);
  } finally {
    await admin.end();
  }
};

const copyOf = (from: string, to: string): string =>
  `CREATE DATABASE ${to} TEMPLATE ${from} OWNER callvault_owner STRATEGY FILE_COPY`;

type Scene = {
  readonly database: TestDatabase;
  readonly folder: VaultFolder;
  readonly witness: WitnessProcess;
  readonly logKey: string;
  readonly checkpoints: string;
};

/** How many entries there are, and the organisation that they are about. */
const asItIs = async (database: TestDatabase): Promise<{ size: number; organisation: string }> => {
  const client = await database.connect('superuser');
  const { rows } = await client.query<{ size: number; organisation: string }>(
    'SELECT (SELECT max(size)::int FROM audit.batch) AS size, (SELECT id FROM organisation) AS organisation',
  );
  await client.end();
  return rows[0]!;
};

/** So many entries more, and a checkpoint of them that the witness has cosigned. */
const grow = async ({ database, checkpoints }: Scene, from: number, checkpoint: () => Promise<unknown>) => {
  const { organisation } = await asItIs(database);
  await seed(database, from, from + PART, organisation);
  await checkpoint();
  await until(async () => {
    const cosigned = (await readdir(checkpoints)).filter((name) => name.includes('.')).sort();
    return Number(cosigned.at(-1)?.slice(0, 16) ?? 0) > from + PART;
  });
};

/** Resolves to an officer's token. */
const fill = async (scene: Scene): Promise<string> => {
  const { database, folder, witness } = scene;
  const env = { WITNESSES: `${witness.key} ${witness.url}` };
  let vault = await folder.start(env);
  const line = await openCareLine(folder, vault.url);
  const token = await line.compliance.token();
  // Before anything is given the newest tree is signed.
  const checkpoint = () => line.http.get('/v1/audit/export?from=0&to=1', { token });
  for (let from = 0; from < SIZE; from += PART) {
    await grow(scene, from, checkpoint);
    if (from + PART !== BACKED_UP) continue;
    await vault.stop();
    await withAdmin(database, [copyOf('callvault', BACKUP)]);
    vault = await folder.start(env);
  }
  await vault.stop();
  line.http.close();
  return token;
};

/** What can be done to the log once it is full; `kept` is what was carried off, in the hands of nobody here. */
const createAttacks = (scene: Scene, kept: string, token: string) => {
  const { database, folder, witness, checkpoints, logKey } = scene;
  const env = { WITNESSES: `${witness.key} ${witness.url}` };
  const url = `http://127.0.0.1:${folder.env.PORT}`;
  /** The log as it was, or as the backup has it, and the vault's own checkpoints as they were. */
  const renew = async (from: typeof PRISTINE | typeof BACKUP = PRISTINE): Promise<void> => {
    await withAdmin(database, ['DROP DATABASE IF EXISTS callvault WITH (FORCE)', copyOf(from, 'callvault')]);
    await rm(checkpoints, { recursive: true, force: true });
    await cp(kept, checkpoints, { recursive: true, preserveTimestamps: true });
  };
  const tamper = async (use: (superuser: pg.Client) => Promise<unknown>): Promise<void> => {
    const superuser = await database.connect('superuser');
    await guardsOff(superuser);
    await use(superuser);
    await guardsOn(superuser);
    await superuser.end();
  };
  return {
    ...{ ...scene, kept, renew },
    /** The same as `attack`, on the log as it is now. */
    tamper,
    /** What only a superuser can do, and only after switching every guard off; on the log as it was. */
    attack: async (use: (superuser: pg.Client) => Promise<unknown>): Promise<void> => {
      await renew();
      await tamper(use);
    },
    /** `callvault verify` at the vault. */
    verify: async (...args: readonly string[]): Promise<Found> =>
      foundIn(await folder.cli('verify', '--json', ...args)),
    /** What somebody has who was told the keys, and has the checkpoints that were carried off. */
    known: ['--against', kept, '--key', logKey, '--witness', witness.key] as readonly string[],
    /** Lets the vault serve, shown to the witness, as long as `use` takes. */
    serving: async <T>(use: (vault: RunningVault) => Promise<T>): Promise<T> => {
      const vault = await folder.start(env);
      try {
        return await use(vault);
      } finally {
        await vault.stop();
      }
    },
    /** `callvault verify --live`, as the officer, of the vault that serves. */
    verifyLive: async (...args: readonly string[]): Promise<Found> =>
      foundIn(await folder.cliTold(token, 'verify', '--json', '--live', url, ...args)),
    /** Goes on with the log of the vault that serves; how many entries it had before. */
    growBy: async (entries: number): Promise<number> => {
      const { size, organisation } = await asItIs(database);
      await seed(database, size, size + entries, organisation);
      await createHttpClient(url).get('/v1/audit/export?from=0&to=1', { token });
      return size;
    },
  };
};

/**
 * A real log of 100,000 entries in a PostgreSQL of its own: written by the vault's own writer, under checkpoints that a
 * witness, a process of its own, has cosigned, and that were carried off. Every attack begins with the log as it was.
 */
export const startAttackedLog = async () => {
  const home = await mkdtemp(join(tmpdir(), 'cvx-'));
  const closers = [() => rm(home, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const undo of closers.splice(0).reverse()) await undo();
  };
  try {
    const [checkpoints, kept] = [join(home, 'checkpoints'), join(home, 'kept')];
    await mkdir(checkpoints, { mode: 0o700 });
    const database = await startTestDatabase();
    closers.push(() => database.close());
    const places = { DATABASE_URL: urlOf(database.app), CHECKPOINT_DIR: checkpoints };
    const folder = await newVaultFolder({ ...ROOMY, PORT: await freePort(), ...places });
    closers.push(() => folder.remove());
    await (await folder.start()).stop();
    const logKey = (await folder.cli('log-key')).stdout.trim();
    const witness = await startWitness(home, [logKey]);
    closers.push(async () => void (await witness.stop()));
    const scene: Scene = { database, folder, witness, logKey, checkpoints };
    const token = await fill(scene);
    await cp(checkpoints, kept, { recursive: true, preserveTimestamps: true });
    await withAdmin(database, [`ALTER DATABASE callvault RENAME TO ${PRISTINE}`]);
    return { ...createAttacks(scene, kept, token), close };
  } catch (error) {
    await close();
    throw error;
  }
};

export type AttackedLog = Awaited<ReturnType<typeof startAttackedLog>>;

type Written = { readonly salt: Buffer; readonly body: string };

/**
 * Writes the log anew from the append that holds entry `from`, through the log's own function, so that it agrees with itself
 * again. `change` is given what stood there, and the place of its first entry.
 */
export const rewriteFrom = async (
  superuser: pg.Client,
  from: number,
  change: (entries: Written[], first: number) => readonly Written[],
): Promise<void> => {
  const begun = 'SELECT max(first_seq)::int AS first FROM audit.batch WHERE first_seq <= $1';
  const first = (await superuser.query<{ first: number }>(begun, [from])).rows[0]!.first;
  const behind = 'SELECT salt, body FROM audit.entry WHERE seq >= $1 ORDER BY seq';
  const entries = change((await superuser.query<Written>(behind, [first])).rows, first);
  await cutLog(superuser, first);
  for (let at = 0; at < entries.length; at += 1000) {
    const part = entries.slice(at, at + 1000);
    await superuser.query('SELECT FROM audit.append($1, $2, $3, $4)', [
      'forger',
      first + at,
      part.map(({ salt }) => salt),
      part.map(({ body }) => body),
    ]);
  }
};
