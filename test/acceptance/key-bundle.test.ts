import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newCall } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { createIntegrator } from '../support/integrator.ts';
import { objectPathOf } from '../support/kept-recording.ts';
import { recoverRecording } from '../support/reference-recovery.ts';
import { type Scene, startScene } from '../support/scene.ts';
import type { RunningVault, VaultFolder } from '../support/vault.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** docs/file-format.md §10: recordings outlive their database, and the erased do not. */
let scene: Scene & { folder: VaultFolder; vault: RunningVault; close(): Promise<void> };
let people: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
});
afterAll(() => scene?.close());

type Kept = { readonly id: string; readonly path: string; readonly audio: Buffer };

/** Everything that was delivered. */
const kept: Kept[] = [];

const keep = async (bytes: number): Promise<Kept> => {
  const { audio } = newCall(bytes);
  const { id } = await people.deliver({}, audio);
  const row = (await inspect(scene.folder)).rows.find((one) => one.id === id);
  const made = { id, audio, path: objectPathOf(scene.folder.dataDir, row?.object ?? '') };
  kept.push(made);
  return made;
};

type Made = { readonly where: string; readonly count: number; readonly sha256: string };

const exported = async (...args: string[]): Promise<Made> => {
  const { code, stdout, stderr } = await scene.folder.cli('export-keys', ...args, '--json');
  expect({ code, stderr: stderr.replace(/^Nobody removes this file.*\n/, '') }).toEqual({
    code: 0,
    stderr: '',
  });
  return JSON.parse(stdout) as Made;
};

const bundleFolder = (): string => join(scene.folder.dataDir, 'objects', 'keys-export');
const bundles = async (): Promise<string[]> => (await readdir(bundleFolder()).catch(() => [])).sort();
const recordingsIn = async (path: string): Promise<string[]> =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .slice(1, -2)
    .map((line) => (JSON.parse(line) as { recording: string }).recording);

const entries = async (): Promise<{ id: string; actor: { type: string }; detail: object }[]> =>
  inDatabase(scene.folder, async (client) => {
    const text = `SELECT body::jsonb AS body FROM audit.entry WHERE body::jsonb ->> 'action' = 'keys.exported' ORDER BY seq`;
    return (
      await client.query<{ body: { id: string; actor: { type: string }; detail: object } }>(text)
    ).rows.map(({ body }) => body);
  });

test('a bundle is what the document describes, for the owner only, and an entry tells of it', async () => {
  for (const bytes of [1_000, 70_000, 300_000]) await keep(bytes);
  const all = (await inspect(scene.folder)).rows.map(({ id }) => id).sort();
  const { length: total } = all;
  const { where, count, sha256 } = await exported();
  expect((await stat(where)).mode & 0o777).toBe(0o600);
  const text = await readFile(where, 'latin1');
  expect(text.endsWith('\n')).toBe(true);
  const lines = text.slice(0, -1).split('\n');
  const header = JSON.parse(lines[0] ?? '') as { at: string; bundle: string; installation: string };
  expect(lines[0]).toBe(
    JSON.stringify({
      format: 1,
      kind: 'callvault-wrapped-keys',
      installation: header.installation,
      bundle: header.bundle,
      at: new Date(header.at).toISOString(),
      count: total,
    }),
  );
  for (const line of lines.slice(1, -1))
    expect(line).toMatch(
      /^\{"recording":"[0-9a-f-]{36}","generation":"[0-9a-f-]{36}","organisation":"[0-9a-f-]{36}","provider":"keyring","keyId":"[0-9a-f]{16}","version":1,"wrapped":"01[0-9a-f]{120}"\}$/,
    );
  expect(await recordingsIn(where)).toEqual(all);
  const before = Buffer.from(`${lines.slice(0, -1).join('\n')}\n`, 'latin1');
  expect(createHash('sha256').update(before).digest('hex')).toBe(sha256);
  expect(lines.at(-1)).toBe(JSON.stringify({ end: true, count: total, sha256 }));
  expect(count).toBe(total);
  const told = (await entries()).at(-1);
  expect(told).toMatchObject({
    id: header.bundle,
    actor: { type: 'operator' },
    organisation: null,
    detail: { place: 'store', count: total, sha256 },
  });
  expect((await inspect(scene.folder)).strays).toEqual([]);
});

test('an erased recording is in no bundle after the second one; older ones are gone, future ones too', async () => {
  const erased = await keep(1000);
  const holding = await exported();
  expect(await recordingsIn(holding.where)).toContain(erased.id);
  const asked = { token: await scene.home.admin.token(), json: { reason: 'retention' } };
  expect((await scene.http.delete(`/v1/recordings/${erased.id}`, asked)).status).toBe(204);
  // As a clock that was wrong would have named it: it must not count among the newest for ever.
  await rename(holding.where, join(bundleFolder(), `29991231T235959.999Z-${holding.where.slice(-43)}`));
  const next = await exported();
  expect(await recordingsIn(next.where)).not.toContain(erased.id);
  const last = await exported();
  expect(await bundles()).toEqual(
    [next.where, last.where].map((path) => path.slice(path.lastIndexOf('/') + 1)),
  );
  for (const name of await bundles())
    expect(await readFile(join(bundleFolder(), name), 'latin1')).not.toContain(erased.id);
});

describe('into a folder', () => {
  test('a whole file for the owner only; what is there stays', async () => {
    const folder = join(scene.folder.home, 'elsewhere');
    expect((await scene.folder.cli('export-keys', folder)).stderr).toContain('is not a folder');
    await mkdir(folder);
    const made = [await exported(folder), await exported(folder), await exported(folder)];
    expect((await readdir(folder)).map((name) => join(folder, name)).sort()).toEqual(
      made.map(({ where }) => where).sort(),
    );
    expect((await stat(made[0]!.where)).mode & 0o777).toBe(0o600);
    expect((await entries()).at(-1)?.detail).toMatchObject({ place: 'folder' });
  });
});

test('the vault makes one by itself when the newest is too old, and no other before that', async () => {
  await scene.vault.stop();
  await rm(bundleFolder(), { recursive: true });
  const vault = await scene.folder.start({ KEYS_EXPORT_MINUTES: '1' });
  await until(async () => (await bundles()).length > 0);
  const [only] = await bundles();
  // Several more looks.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(await bundles()).toEqual([only]);
  expect((await entries()).at(-1)).toMatchObject({ actor: { type: 'system' }, detail: { place: 'store' } });
  await vault.stop();
});

test('without the database: object, copy of the envelope, bundle and key folder give the sound back', async () => {
  // No vault runs: the command opens the installation by itself.
  const { where } = await exported();
  const { dataDir, keysDir } = scene.folder;
  const recordings = await recordingsIn(where);
  const salvage = await Promise.all(
    kept
      .filter(({ id }) => recordings.includes(id))
      .map(async ({ path, ...one }) => ({
        ...one,
        object: await readFile(path),
        copy: await readFile(`${path}.envelope`),
      })),
  );
  expect(salvage).toHaveLength(3);
  const bundle = await readFile(where);
  await rm(dataDir, { recursive: true });
  for (const { id, audio, object, copy } of salvage) {
    const recovered = recoverRecording({ object, copy, bundle, keysDir });
    expect(recovered.recording).toBe(id);
    expect(recovered.audio.equals(audio)).toBe(true);
  }
  // What was cut, changed or exchanged is seen.
  const [one, other] = salvage as [(typeof salvage)[number], (typeof salvage)[number]];
  const flipped = (bytes: Buffer, at: number): Buffer => {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 1;
    return changed;
  };
  const whole = { object: one.object, copy: one.copy, bundle, keysDir };
  for (const broken of [
    { ...whole, object: flipped(one.object, 500) },
    { ...whole, object: other.object },
    { ...whole, copy: other.copy },
    { ...whole, copy: flipped(one.copy, one.copy.length - 10) },
    { ...whole, bundle: flipped(bundle, 400) },
    { ...whole, bundle: bundle.subarray(0, bundle.lastIndexOf('\n', -2) + 1) },
    { ...whole, bundle: bundle.subarray(0, 700) },
  ])
    expect(() => recoverRecording(broken)).toThrow();
});
