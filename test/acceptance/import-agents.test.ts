import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { importInto } from '../support/import-run.ts';
import { makeOldShare } from '../support/old-share.ts';
import { inspect } from '../support/vault-inspection.ts';

let world: CareLineVault;
beforeAll(async () => {
  world = await startCareLine();
});
afterAll(() => world?.folder.remove());

const idsOf = async (): Promise<Set<string>> =>
  new Set((await inspect(world.folder)).rows.map(({ id }) => id));

test('two imports of one share at once, each with its own journal: every recording is there once', async () => {
  const share = await makeOldShare(join(world.folder.home, 'twice'), 300);
  const runs = [await importInto(world, share.folder, 'one'), await importInto(world, share.folder, 'two')];
  const ended = await Promise.all(runs.map((run) => run.run()));
  // Some things of the share are no recordings: said, and nothing else is wrong.
  expect(ended.map(({ code }) => code)).toEqual([1, 1]);
  expect((await idsOf()).size).toBe(share.contents.size + share.empty);
  const reports = await Promise.all(runs.map((run) => run.report()));
  for (const { totals } of reports) expect(totals.verified).toBe(share.expected.verified);
  const created = reports.flatMap(({ lines }) => lines.filter((line) => line.created));
  expect(new Set(created.map(({ recording }) => recording)).size).toBe(created.length);
});

test('a vault that is killed in the middle and comes back: the import waits, goes on, and loses nothing', async () => {
  const before = (await idsOf()).size;
  const share = await makeOldShare(join(world.folder.home, 'killed'), 400, 1_500);
  const run = await importInto(world, share.folder, 'three');
  const running = run.run();
  while ((await idsOf()).size < before + 20) await sleep(200);
  await world.vault.kill();
  await sleep(1_500);
  const vault = await world.folder.start();
  world = { ...world, vault };
  const ended = await running;
  expect(ended.stderr).toContain('nothing is lost');
  expect(ended.code).toBe(1);
  expect((await run.report()).totals.verified).toBe(share.expected.verified);
  // Its one empty recording has the name of the one before.
  expect((await idsOf()).size).toBe(before + share.contents.size);
});

test('a key that the vault does not know: said in words, nothing is sent, the files stay', async () => {
  const share = await makeOldShare(join(world.folder.home, 'refused'), 20, 3_000);
  const run = await importInto(world, share.folder, 'four');
  await writeFile(join(world.folder.home, 'source.key'), 'cvk_nobody', { mode: 0o600 });
  const before = (await idsOf()).size;
  const { code, stderr } = await run.run('--patience', '0.01');
  expect(code).toBe(3);
  expect(stderr).toMatch(/unauthenticated.*\n.*the same command goes on/s);
  expect(stderr).toContain('does not know this key');
  expect(stderr).not.toContain('cvk_nobody');
  expect((await idsOf()).size).toBe(before);
  await rm(share.folder, { recursive: true });
});
