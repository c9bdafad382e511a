import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';

let db: TestDatabase;
let app: pg.Client;
const organisation = randomUUID();
const unit = randomUUID();
const source = randomUUID();
const user = randomUUID();

const insert = (table: string, row: Record<string, unknown>) =>
  app.query(
    `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${Object.keys(row).map((_, index) => `$${index + 1}`)})`,
    Object.values(row),
  );

beforeAll(async () => {
  db = await startTestDatabase();
  app = await db.connect('app');
  await insert('organisation', { id: organisation, name: 'Region Example' });
  await insert('care_unit', { id: unit, organisation_id: organisation, name: 'North' });
  await insert('source', {
    id: source,
    organisation_id: organisation,
    name: 'PBX',
    client_id: 'pbx',
    client_secret_hash: randomBytes(32),
    api_key_hash: randomBytes(32),
    retention_class: 'care',
    legal_basis: 'PDL',
  });
  await insert('app_user', {
    id: user,
    organisation_id: organisation,
    role: 'nurse',
    email: 'n@example.org',
    display_name: 'N',
    password_hash: 'x',
  });
});
afterAll(() => db.close());

type Row = Record<string, unknown>;

/** A row as an upload leaves it in each state. */
const recording = (status: string, changes: Row = {}): Row => {
  const intent: Row = {
    id: randomUUID(),
    organisation_id: organisation,
    unit_id: unit,
    source_id: source,
    intent_id: randomUUID(),
    generation: randomUUID(),
    started_at: new Date(),
    announcement: 'unknown',
    legal_basis: 'PDL',
    retention_class: 'care',
    call_id_index: randomBytes(32),
    facts_sealed: randomBytes(64),
  };
  const sealed: Row = {
    digest_mac: randomBytes(32),
    plain_bytes: 10,
    sealed_bytes: 66,
    sealed_sha256: randomBytes(32),
    header: randomBytes(40),
    key_commitment: randomBytes(32),
    wrap_provider: 'file',
    wrap_key_id: 'k',
    wrap_version: 1,
    wrapped_key: randomBytes(60),
  };
  const stored: Row = { stored_at: new Date(), stored_seq: 1 };
  const erased: Row = { erased_at: new Date(), erased_seq: 2, ...nothing };
  const parts: Record<string, Row> = {
    intent,
    sealed: { ...intent, ...sealed },
    stored: { ...intent, ...sealed, ...stored },
    erasing: { ...intent, ...sealed, ...stored },
    erased: { ...intent, ...sealed, ...stored, ...erased },
  };
  return { ...parts[status], status, ...changes };
};

const nothing: Row = Object.fromEntries(
  [
    ...['caller_index', 'called_index', 'agent_index', 'queue_index', 'personal_index', 'name_index'],
    ...['subject', 'facts_sealed', 'peaks_sealed', 'digest_mac', 'wrapped_key', 'channel_parties', 'pauses'],
  ].map((column) => [column, null]),
);

const states = ['intent', 'sealed', 'stored', 'erasing', 'erased'] as const;
const NO_WAY = { code: expect.stringMatching(/^23/) };
const FORBIDDEN = { code: '42501' };

const added = async (status: string, changes: Row = {}): Promise<string> => {
  const row = recording(status, changes);
  await insert('recording', row);
  return row.id as string;
};

describe('a recording’s life', () => {
  const allowed = ['intent>sealed', 'sealed>stored', 'stored>erasing', 'erasing>stored', 'erasing>erased'];

  test.each(
    states.flatMap((from) => states.map((to) => [from, to] as const)).filter(([from, to]) => from !== to),
  )('from %s to %s', async (from, to) => {
    const id = await added(from);
    const { id: _, organisation_id, source_id, unit_id, intent_id, generation, ...columns } = recording(to);
    const { started_at, announcement, legal_basis, retention_class, ...rest } = columns;
    const names = Object.keys(rest);
    const change = app.query(
      `UPDATE recording SET ${names.map((name, index) => `${name} = $${index + 2}`)} WHERE id = $1`,
      [id, ...Object.values(rest)],
    );
    if (allowed.includes(`${from}>${to}`)) expect((await change).rowCount).toBe(1);
    else await expect(change).rejects.toMatchObject(NO_WAY);
  });

  test.each(states)('while %s, deleting it is %s', async (status) => {
    const id = await added(status);
    const removal = app.query('DELETE FROM recording WHERE id = $1', [id]);
    if (status === 'intent' || status === 'sealed') expect((await removal).rowCount).toBe(1);
    else await expect(removal).rejects.toMatchObject(NO_WAY);
  });

  test('a tombstone never changes', async () => {
    const id = await added('erased');
    await expect(
      app.query('UPDATE recording SET flags = $2 WHERE id = $1', [id, ['x']]),
    ).rejects.toMatchObject(NO_WAY);
  });

  test('not even a superuser with triggers set to replica goes around it', async () => {
    const id = await added('stored');
    const superuser = await db.connect('superuser');
    await superuser.query(`SET session_replication_role = replica`);
    await expect(superuser.query('DELETE FROM recording WHERE id = $1', [id])).rejects.toMatchObject(NO_WAY);
  });
});

describe('whose a recording is', () => {
  const assign = (id: string, unitId: string | null, seq: number | null) =>
    app.query('UPDATE recording SET unit_id = $2, assigned_seq = coalesce($3, assigned_seq) WHERE id = $1', [
      id,
      unitId,
      seq,
    ]);

  test('is told once, by an entry newer than the one that stored it, and again by a newer one', async () => {
    const id = await added('stored', { unit_id: null });
    expect((await assign(id, unit, 2)).rowCount).toBe(1);
    const other = randomUUID();
    await insert('care_unit', { id: other, organisation_id: organisation, name: other });
    await expect(assign(id, other, 2)).rejects.toMatchObject(NO_WAY);
    expect((await assign(id, other, 3)).rowCount).toBe(1);
  });

  test.each<[string, string, string | null, string | null, number | null]>([
    ['an entry as old as the recording', 'stored', null, unit, 1],
    ['no entry', 'stored', null, unit, null],
    ['taking it away', 'stored', unit, null, 2],
    ['an upload under way', 'sealed', null, unit, 2],
    ['a tombstone', 'erased', null, unit, 3],
  ])('does not change by %s', async (_what, status, from, to, seq) => {
    const id = await added(status, { unit_id: from });
    await expect(assign(id, to, seq)).rejects.toMatchObject(NO_WAY);
  });
});

describe('a row is whole', () => {
  const envelope = [
    'facts_sealed',
    'call_id_index',
    'sealed_sha256',
    'header',
    'key_commitment',
    'wrapped_key',
    'wrap_version',
  ];

  test('G-5 no recording is without its controller: no organisation, or one that is not there, is refused', async () => {
    for (const status of ['intent', 'stored']) {
      await expect(added(status, { organisation_id: null })).rejects.toMatchObject({ code: '23502' });
      const foreign = added(status, { organisation_id: randomUUID() });
      await expect(foreign).rejects.toMatchObject({ code: '23503' });
    }
  });

  test.each(
    envelope.flatMap((column) => ['sealed', 'stored', 'erasing'].map((status) => [status, column] as const)),
  )('%s without %s is refused', async (status, column) => {
    await expect(added(status, { [column]: null })).rejects.toMatchObject(NO_WAY);
  });

  test.each(Object.keys(nothing))('erased with %s left is refused', async (column) => {
    const left =
      column === 'subject' ? 's' : ['channel_parties', 'pauses'].includes(column) ? '{}' : randomBytes(8);
    await expect(added('erased', { [column]: left })).rejects.toMatchObject(NO_WAY);
  });

  test.each<[string, Row]>([
    ['stored', { stored_seq: null }],
    ['erased', { erased_seq: null }],
    ['erased', { hold_count: 1 }],
    ['stored', { hold_count: -1 }],
    ['stored', { segment: -1 }],
    ['stored', { plain_bytes: -1 }],
    ['gone', {}],
    ['stored', { direction: '0701234567' }],
    ['stored', { retention_class: '0701234567' }],
  ])('%s with %o is refused', async (status, changes) => {
    await expect(
      insert('recording', { ...recording('stored'), ...recording(status, changes) }),
    ).rejects.toMatchObject(NO_WAY);
  });

  test.each<[string, Row]>([
    ['app_user', { id: randomUUID(), role: 'nurse', organisation_id: null }],
    ['app_user', { id: randomUUID(), role: 'installation_admin', organisation_id: organisation }],
    ['app_user', { id: randomUUID(), role: 'root', organisation_id: organisation }],
  ])('%s with %o is refused', async (table, changes) => {
    const row = { email: `${randomUUID()}@example.org`, display_name: 'x', password_hash: 'x', ...changes };
    await expect(insert(table, row)).rejects.toMatchObject(NO_WAY);
  });

  test.each<[string, Row]>([
    ['nobody', {}],
    ['two at once', { user_id: user, source_id: source }],
    ['somebody, ended without a reason', { user_id: user, ended_at: new Date() }],
    ['somebody, with a short hash', { user_id: user, refresh_hash: randomBytes(31) }],
  ])('a session of %s is refused', async (_, changes) => {
    await expect(
      insert('session', { id: randomUUID(), expires_at: new Date(), ...changes }),
    ).rejects.toMatchObject(NO_WAY);
  });
});

describe('the same call', () => {
  let call: Row;
  beforeEach(() => {
    call = { call_id_index: randomBytes(32), segment: 3 };
  });

  test.each(['sealed', 'stored', 'erasing', 'erased'])('is kept once while it is %s', async (status) => {
    await added(status, call);
    await expect(added('sealed', call)).rejects.toMatchObject({ code: '23505' });
    await added('sealed', { ...call, segment: 4 });
  });

  test('may be tried again beside an upload under way', async () => {
    await added('intent', call);
    await added('intent', call);
    await added('stored', call);
  });

  test('does not come back after its erasure, by an upload that was under way either', async () => {
    await added('intent', call);
    await added('erased', call);
    await expect(added('sealed', call)).rejects.toMatchObject({ code: '23505' });
    await expect(added('erased', { call_id_index: null })).rejects.toMatchObject(NO_WAY);
  });
});

describe('what the application role may not do', () => {
  test.each([
    ...['id', 'organisation_id', 'source_id', 'intent_id', 'generation', 'created_at'].map(
      (column) => `UPDATE recording SET ${column} = DEFAULT`,
    ),
    'UPDATE organisation SET id = id',
    'UPDATE app_user SET organisation_id = organisation_id',
    'UPDATE source SET organisation_id = organisation_id',
    'UPDATE session SET user_id = user_id',
    'UPDATE playback SET expires_at = expires_at',
    'UPDATE hold SET recording_id = recording_id',
    'UPDATE membership SET unit_id = unit_id',
    'UPDATE installation SET name = name',
    'UPDATE pending_change SET payload = payload',
    'UPDATE _prisma_migrations SET logs = logs',
    ...['organisation', 'care_unit', 'app_user', 'source', 'hold', 'installation', '_prisma_migrations'].map(
      (table) => `DELETE FROM ${table}`,
    ),
    ...['recording', 'session', 'organisation'].map((table) => `TRUNCATE ${table} CASCADE`),
    'DROP TABLE recording',
    'ALTER TABLE recording DISABLE TRIGGER recording_life',
    'CREATE TABLE public.mine ()',
    'CREATE TEMPORARY TABLE mine ()',
    'CREATE SCHEMA mine',
    'SET session_replication_role = replica',
    `COPY recording TO '/tmp/copy'`,
    "SELECT pg_read_file('postgresql.conf')",
  ])('%s', async (statement) => {
    await expect(app.query(statement)).rejects.toMatchObject(FORBIDDEN);
  });

  test('and a stranger with a login sees nothing at all', async () => {
    const superuser = await db.connect('superuser');
    await superuser.query(`CREATE ROLE passer_by LOGIN PASSWORD 'a-password-0123'`);
    const { rows } = await superuser.query(
      `SELECT has_database_privilege('passer_by', current_database(), 'CONNECT, TEMPORARY, CREATE') AS connect,
              has_schema_privilege('passer_by', 'public', 'USAGE, CREATE') AS public, has_schema_privilege('passer_by', 'audit', 'USAGE') AS audit`,
    );
    expect(rows).toEqual([{ connect: false, public: false, audit: false }]);
  });
});
