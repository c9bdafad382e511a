import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import type { VaultFolder } from './vault.ts';

/** What a vault tells about itself in its data folder. */
export type Announced = {
  readonly pid: number;
  readonly url: string | null;
  readonly socketDir: string;
};

export const announced = async ({ dataDir }: VaultFolder): Promise<Announced> =>
  JSON.parse(await readFile(join(dataDir, 'instance.json'), 'utf8')) as Announced;

/** Runs SQL in the embedded database of a running vault, as its application role or as the superuser. */
export const inDatabase = async <T>(
  folder: VaultFolder,
  use: (client: pg.Client) => Promise<T>,
  role: 'application' | 'superuser' = 'application',
): Promise<T> => {
  const { socketDir } = await announced(folder);
  const client = new pg.Client({
    host: socketDir,
    port: 5432,
    database: 'callvault',
    user: role === 'superuser' ? 'postgres' : 'callvault',
    password: await readFile(join(folder.dataDir, 'postgres', `${role}.password`), 'utf8'),
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
};

export type RecordingRow = {
  readonly id: string;
  readonly status: string;
  readonly intentId: string;
  readonly object: string;
  readonly storedSeq: number | null;
};

export type UploadEntry = {
  readonly seq: number;
  readonly eventId: string;
  readonly recording: string;
  readonly action: string;
};

/** Everything an installation keeps of uploads, read past the vault: rows, entries of the log, files. */
export type Inspection = {
  readonly rows: readonly RecordingRow[];
  /** Entries that end an upload (stored, refused, abandoned), oldest first. */
  readonly endings: readonly UploadEntry[];
  readonly pendingChanges: number;
  /** Object keys of the files that are whole objects. */
  readonly objects: readonly string[];
  /** Object keys of the objects beside which there is a copy of the envelope. */
  readonly copies: readonly string[];
  /** Names of the bundles of wrapped keys, oldest first. */
  readonly bundles: readonly string[];
  /** Every other file of the object store: drafts, probes, anything. */
  readonly strays: readonly string[];
  /** Drafts of keys, passwords and announcements. */
  readonly drafts: readonly string[];
};

const OBJECT = /^recordings\/[0-9a-f-]{36}\/([0-9a-f]{2})\/(\1[0-9a-f-]{34})$/;
const COPY = /\.envelope$/;
const BUNDLE = /^keys-export\/[0-9TZ.]+-[0-9a-f-]{36}\.ndjson$/;
const DRAFT = /(^|\/)\.new-|\.new$|\.[0-9a-f]{12}$/;

const filesBelow = async (folder: string): Promise<readonly string[]> => {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
};

const query = async <R extends pg.QueryResultRow>(client: pg.Client, text: string): Promise<R[]> =>
  (await client.query<R>(text)).rows;

const ROWS = `SELECT id::text, status, intent_id::text AS "intentId", stored_seq::int AS "storedSeq",
  'recordings/' || organisation_id || '/' || generation AS object FROM recording ORDER BY id`;
const ENDINGS = `SELECT e.seq::int, l.event_id::text AS "eventId", body::jsonb ->> 'recording' AS recording,
  body::jsonb ->> 'action' AS action FROM audit.entry e JOIN audit.leaf l ON l.seq = e.seq
  WHERE body::jsonb ->> 'action' IN ('recording.stored', 'recording.refused', 'recording.abandoned') ORDER BY e.seq`;

/** Looks at an installation whose vault runs on its embedded database. */
export const inspect = async (folder: VaultFolder): Promise<Inspection> => {
  const [rows, endings, pending] = await inDatabase(folder, async (client) => [
    await query<RecordingRow>(client, ROWS),
    await query<UploadEntry>(client, ENDINGS),
    await query<{ count: number }>(client, 'SELECT count(*)::int FROM pending_change'),
  ]);
  const found = await filesBelow(join(folder.dataDir, 'objects'));
  const files = found.filter((name) => !COPY.test(name));
  const copies = found.filter((name) => COPY.test(name)).map((name) => name.replace(COPY, ''));
  const others = [
    ...(await readdir(folder.dataDir)),
    ...(await readdir(join(folder.dataDir, 'postgres'))),
    ...(await filesBelow(folder.keysDir)),
  ];
  return {
    rows,
    endings,
    pendingChanges: pending[0]?.count ?? 0,
    objects: objectsAmong(files),
    copies: objectsAmong(copies),
    bundles: files.filter((name) => BUNDLE.test(name)).sort(),
    strays: [...files, ...copies].filter((name) => !OBJECT.test(name) && !BUNDLE.test(name)),
    drafts: others.filter((name) => DRAFT.test(name)),
  };
};

const objectKeyOf = (path: string): string => {
  const [room, organisation, , generation] = path.split('/');
  return `${room}/${organisation}/${generation}`;
};

const objectsAmong = (files: readonly string[]): readonly string[] =>
  files
    .filter((name) => OBJECT.test(name))
    .map((name) => name.replace(OBJECT, objectKeyOf))
    .sort();

/** Process ids of every PostgreSQL server process that works on this installation's database. */
export const databaseProcesses = async ({ dataDir }: VaultFolder): Promise<readonly number[]> => {
  const cluster = join(dataDir, 'postgres', 'cluster');
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const cwd = await readlink(`/proc/${name}/cwd`).catch(() => '');
    if (cwd === cluster) found.push(Number(name));
  }
  return found;
};
