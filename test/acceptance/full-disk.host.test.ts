import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newCall } from '../support/care-line.ts';
import { isAlive, until } from '../support/child.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { runOnFullDisk, type SmallDiskVault, startOnSmallDisk } from '../support/small-disk.ts';
import { newVaultFolder } from '../support/vault.ts';
import {
  expectAnswers,
  expectNothing,
  expectNothingOf,
  type Known,
  makeKnown,
  waysThatNeedAnEntry,
  waysToListen,
} from '../support/ways-to-hear.ts';

const MiB = 1024 ** 2;
const DISK = 256 * MiB;
const FLOOR = 64 * MiB;

let world: SmallDiskVault;
let known: Known;

const open = async (env: Readonly<Record<string, string>>): Promise<void> => {
  world = await startOnSmallDisk(DISK, env);
  known = await makeKnown(world.line, newCall(300_000));
};

const ready = async (): Promise<boolean> => (await world.line.http.get('/readyz')).status === 200;
const everything = () => ({ ...waysThatNeedAnEntry(world.line, known), ...waysToListen(world.line, known) });

const shownCalls = async (): Promise<readonly string[]> => {
  const asked = { token: await world.line.nurse.token(), json: { limit: 200 } };
  const reply = await world.line.http.post('/v1/recordings/search', asked);
  return jsonOf<{ recordings: { callId: string }[] }>(reply, 200).recordings.map(({ callId }) => callId);
};

/** What was told of uploads that were refused before they began. */
const refusals = async (): Promise<readonly object[]> => {
  const asked = { token: await world.line.compliance.token(), json: { action: 'recording.refused' } };
  const { entries } = jsonOf<{ entries: { recording: string | null; detail: object }[] }>(
    await world.line.http.post('/v1/audit/search', asked),
    200,
  );
  return entries.filter(({ recording }) => recording === null).map(({ detail }) => detail);
};

describe('PDL-3 free space below the floor', () => {
  beforeAll(() => open({ FREE_DISK_FLOOR: String(FLOOR) }));
  afterAll(() => world?.close());

  test('uploads stop with 507 and readiness fails, while everything stored is still heard, shown and logged', async () => {
    const refused = newCall(100_000);
    await world.fill(FLOOR / 2);
    let answer: Reply | undefined;
    await until(async () => {
      answer = await world.line.deliver(newCall(50_000));
      return answer.status !== 201;
    });
    expectNothing(answer as Reply, refused.audio, 507);
    expectNothing(await world.line.deliver(refused), refused.audio, 507);
    // Once it is known, one entry stands for a minute of them: each costs room that playback needs.
    await until(async () => {
      expectNothing(await world.line.deliver(refused), refused.audio, 507);
      return (await refusals()).length > 0;
    });
    expectNothing(await world.line.deliver(refused), refused.audio, 507);
    expect(await refusals()).toEqual([{ reason: 'storage_full', bytes: 0 }]);
    await expectAnswers(everything());
    await until(async () => !(await ready()));
    expect(await shownCalls()).not.toContain(refused.callId);

    await world.empty();
    await until(async () => (await world.line.deliver(refused)).status === 201);
    await until(ready);
    expect(await shownCalls()).toContain(refused.callId);
  });

  test('an upload that would cross the floor is refused before it is stored', async () => {
    const free = 20 * MiB;
    await world.fill(FLOOR + free);
    const large = newCall(free + MiB);
    const answer = await world.line.http.put('/v1/ingest/large', {
      token: world.line.apiKey,
      headers: { 'content-type': 'audio/wav', 'x-call-id': large.callId },
      body: large.audio,
    });
    expectNothing(answer, large.audio, 507);
    expect(await shownCalls()).not.toContain(large.callId);
    await world.empty();
  });
});

describe('PDL-3 no log, no sound: a disk that is full to the last byte', () => {
  beforeAll(() => open({ FREE_DISK_FLOOR: '0' }));
  afterAll(() => world?.close());

  test('whatever cannot be logged is not heard or shown, nothing half is stored, and it heals by itself', async () => {
    await world.fill(0);
    const offered = new Map<string, number>();
    let unlogged = 0;
    // PostgreSQL has some room in its own files yet; then no entry can be written any more.
    await until(async () => {
      const call = newCall(20_000);
      const upload = await world.line.deliver(call);
      offered.set(call.callId, upload.status);
      if (upload.status !== 201) expectNothing(upload, call.audio, 503, 507);
      for (const ask of Object.values(waysThatNeedAnEntry(world.line, known))) {
        const reply = await ask();
        if (reply.status < 400) continue;
        expectNothing(reply, known.audio, 503);
        unlogged += 1;
        // The entry of this playback was written long ago; that the next one could not be is enough.
        await expectNothingOf(waysToListen(world.line, known), known.audio, 503);
      }
      return unlogged >= 30;
    });
    expect([...offered.values()]).not.toContain(201);
    expect(isAlive(world.vault.pid)).toBe(true);

    await world.empty();
    await until(async () => (await world.line.deliver(newCall(50_000))).status === 201);
    await expectAnswers(everything());
    const shown = await shownCalls();
    for (const callId of offered.keys()) expect(shown).not.toContain(callId);
    expect((await world.line.hear(known.recording)).equals(known.audio)).toBe(true);
    expect(isAlive(world.vault.pid)).toBe(true);
    const { code, stdout } = await world.cli('verify');
    expect(stdout).toMatch(/^ok\t/);
    expect(code).toBe(0);
  });
});

describe('a start for which there is no room', () => {
  test.each<[string, boolean, readonly string[]]>([
    ['the first start', false, ['serve']],
    ['a later start', true, ['serve']],
    ['doctor without a vault that runs', true, ['doctor']],
  ])('%s names the full file system and what to do', async (_what, founded, command) => {
    const folder = await newVaultFolder();
    try {
      if (founded) await (await folder.start()).stop();
      const { code, stdout, stderr } = await runOnFullDisk(folder, command);
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
      expect(stderr).toContain(`No space is left on the file system of ${folder.dataDir}: make room there`);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    } finally {
      await folder.remove();
    }
  });
});
