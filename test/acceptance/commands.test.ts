import { hkdfSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { guardsOff, guardsOn } from '../support/guards.ts';
import { type KeptRecording, keepRecording } from '../support/kept-recording.ts';
import { readWhole } from '../support/reference-reader.ts';
import type { RunningVault } from '../support/vault.ts';
import { databaseProcesses, inDatabase } from '../support/vault-inspection.ts';

let world: CareLineVault;
let kept: KeptRecording;
let erased: { readonly id: string; readonly organisation: string };
let keyCommitment: Buffer;
let vault: RunningVault;

beforeAll(async () => {
  world = await startCareLine();
  vault = world.vault;
  kept = await keepRecording(world, 300_000);
  erased = await eraseOne();
  const text = 'SELECT key_commitment FROM recording WHERE id = $1';
  keyCommitment = await inDatabase(
    world.folder,
    async (client) =>
      (await client.query<{ key_commitment: Buffer }>(text, [kept.id])).rows[0]!.key_commitment,
  );
});
afterAll(() => world?.folder.remove());

const eraseOne = async () => {
  const { id, path } = await keepRecording(world, 1000);
  const { http, admin } = world.line;
  const asked = { token: await admin.token(), json: { reason: 'recorded_by_mistake' } };
  expect((await http.delete(`/v1/recordings/${id}`, asked)).status).toBe(204);
  return { id, organisation: path.split('/').at(-3) as string };
};

type OpenedKey = {
  readonly dek: string;
  readonly aad: string;
  readonly segmentBytes: number;
  readonly object: string;
  readonly keyset: { readonly key: readonly [{ readonly keyData: { readonly value: string } }] };
};

const cli = (...args: string[]) => world.folder.cli(...args);

/** Entries of the log of this action that name the recording, read past the vault. */
const keysOpened = async (): Promise<number> => {
  const text = `SELECT count(*)::int FROM audit.entry WHERE body::jsonb ->> 'action' = 'recording.key_opened'
    AND body::jsonb ->> 'recording' = $1`;
  return inDatabase(
    world.folder,
    async (client) => (await client.query<{ count: number }>(text, [kept.id])).rows[0]!.count,
  );
};

type Refused = {
  readonly actor: object;
  readonly organisation: string | null;
  readonly recording: string;
  readonly detail: object;
};

/** What the log says of keys that were asked for and not given, read past the vault. */
const keysRefused = async (): Promise<Refused[]> => {
  const text = `SELECT body FROM audit.entry WHERE body::jsonb ->> 'action' = 'access.denied'
    AND body::jsonb ->> 'outcome' = 'denied' AND body::jsonb -> 'actor' ->> 'type' = 'operator' ORDER BY seq`;
  return inDatabase(world.folder, async (client) =>
    (await client.query<{ body: string }>(text)).rows.map(({ body }) => JSON.parse(body) as Refused),
  );
};

const expectOpensTheObject = async (stdout: string): Promise<void> => {
  // One line of JSON, nothing else: it is meant for another program.
  expect(stdout.split('\n')).toHaveLength(2);
  const opened = JSON.parse(stdout) as OpenedKey;
  expect(opened.object).toBe(kept.path);
  const [object, dek, aad] = [
    await readFile(opened.object),
    Buffer.from(opened.dek, 'hex'),
    Buffer.from(opened.aad, 'hex'),
  ];
  expect(readWhole(object, dek, aad, opened.segmentBytes).equals(kept.audio)).toBe(true);
  // docs/file-format.md §4.1: what opens is what was sealed.
  const info = Buffer.concat([Buffer.from('cv/commit/v1\0'), aad]);
  expect(Buffer.from(hkdfSync('sha256', dek, object.subarray(1, 33), info, 32)).equals(keyCommitment)).toBe(
    true,
  );
  expect(Buffer.from(opened.keyset.key[0].keyData.value, 'base64').subarray(-32).equals(dek)).toBe(true);
};

/** Looks at a vault that runs; where none does, one is started for as long. */
const whileRunning = async <T>(running: boolean, look: () => Promise<T>): Promise<T> => {
  if (running) return look();
  vault = await world.folder.start();
  try {
    return await look();
  } finally {
    await vault.stop();
  }
};

describe.each([
  ['beside a running vault', true],
  ['without one', false],
] as const)('%s', (_name, running) => {
  beforeAll(async () => {
    if (!running) await vault.stop();
  });
  /** A command leaves things as it found them. */
  afterEach(async () => {
    if (!running) expect(await databaseProcesses(world.folder)).toEqual([]);
    else expect((await world.line.http.get('/readyz')).status).toBe(200);
  });

  test('admin-create makes an administrator who can sign in', async () => {
    const email = `running.${running}@example.org`;
    const about = ['--email', email, '--organisation', 'Region New', '--json'];
    const { code, stdout, stderr } = await cli('admin-create', ...about);
    expect(stderr).toContain('shown this once');
    expect(code).toBe(0);
    const { password } = JSON.parse(stdout) as { password: string };
    const signIn = () => world.line.http.post('/v1/auth/login', { json: { email, password } });
    expect((await whileRunning(running, signIn)).status).toBe(200);
  });

  test('open-key gives what opens the object, and the log says so', async () => {
    const before = await whileRunning(running, keysOpened);
    const { code, stdout } = await cli('open-key', kept.id, '--json');
    expect(code).toBe(0);
    await expectOpensTheObject(stdout);
    expect(await whileRunning(running, keysOpened)).toBe(before + 1);
  });

  test('open-key of an id of no recording, or of an erased one, gives nothing, and the log says so', async () => {
    const nobody = '6e1f0d0c-6d3b-4c6e-9d52-0f5f3c1d2b3a';
    const before = await whileRunning(running, keysRefused);
    for (const id of [nobody, erased.id])
      expect(await cli('open-key', id, '--json')).toMatchObject({ code: 3, stdout: '' });
    const told = (await whileRunning(running, keysRefused)).slice(before.length);
    const detail = (reason: string) => ({ route: 'open-key', reason });
    expect(told).toMatchObject([
      { organisation: null, recording: nobody, detail: detail('unknown') },
      { organisation: erased.organisation, recording: erased.id, detail: detail('erased') },
    ]);
    for (const { actor } of told) expect(actor).toEqual({ type: 'operator', id: null, role: null });
  });

  test('verify walks the whole log', async () => {
    const { code, stdout } = await cli('verify', '--json');
    const verdict = JSON.parse(stdout) as { ok: boolean; size: number; faults: unknown[] };
    expect({ code, ...verdict }).toMatchObject({ code: 0, ok: true, faults: [] });
    expect(verdict.size).toBeGreaterThan(5);
  });

  test('doctor finds all parts in order', async () => {
    const { code, stdout } = await cli('doctor', '--json');
    const said = JSON.parse(stdout) as { ready: boolean; findings: { name: string; fault: string | null }[] };
    expect({ code, ready: said.ready }).toEqual({ code: 0, ready: true });
    const names = said.findings.filter(({ fault }) => fault === null).map(({ name }) => name);
    expect(names.sort()).toEqual([
      'checkpoints',
      'database',
      'guards',
      'key_bundle',
      'keys',
      'log',
      'objects',
      'room',
      'verification',
    ]);
  });

  test('several at once wait for each other', async () => {
    const all = await Promise.all([cli('verify'), cli('doctor'), cli('open-key', kept.id)]);
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0]);
  });
});

test('a vault that is started while a command works waits for it', async () => {
  const verifying = cli('verify');
  vault = await world.folder.start();
  expect((await verifying).code).toBe(0);
  expect((await world.line.hear(kept.id)).equals(kept.audio)).toBe(true);
});

test('a log that was changed in the database: verify says where and ends with 1', async () => {
  await inDatabase(
    world.folder,
    async (client) => {
      await guardsOff(client);
      await client.query(
        `UPDATE audit.entry SET body = replace(body, '"outcome":"success"', '"outcome":"denied"') WHERE seq = 2`,
      );
      await guardsOn(client);
    },
    'superuser',
  );
  const { code, stdout } = await cli('verify');
  expect(stdout).toMatch(/^NOT OK\t/);
  expect(stdout).toMatch(/^2\t/m);
  expect(code).toBe(1);
});
