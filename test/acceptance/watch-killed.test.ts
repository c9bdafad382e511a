import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Agent, createPbxHost, type PbxHost } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { startScene } from '../support/scene.ts';

/** `callvault watch`, killed (SIGKILL) at random moments while 60 calls come in. */
const CALLS = 60;
let scene: Awaited<ReturnType<typeof startScene>>;
let host: PbxHost;

beforeAll(async () => {
  scene = await startScene();
});
afterAll(async () => {
  await host?.close();
  await scene?.close();
});

const idsOf = async (query: object): Promise<readonly string[]> => {
  const { recordings } = jsonOf<{ recordings: { id: string }[] }>(
    await scene.http.post('/v1/recordings/search', { token: await scene.own.nurse.token(), json: query }),
    200,
  );
  return recordings.map(({ id }) => id);
};

const startWatch = (): Agent =>
  host.start([
    ...['watch', host.spool, '--url', scene.vault.url, '--key-file', host.keyFile, '--json'],
    ...['--interval', '0.1', '--longest-pause', '0.3', '--concurrency', '3', '--unseen-rest', '0'],
  ]);

/** What an agent said before it died; the last line may be half a line. */
const storedBy = (out: string): number =>
  out.split('\n').filter((line) => line.startsWith('{"event":"stored"') && line.endsWith('}')).length;

test('killed again and again: nothing lost, nothing doubled, every call found with what was said of it', async () => {
  host = createPbxHost(scene.home.source.apiKey);
  const queue = `Q-${randomUUID()}`;
  const calls = Array.from({ length: CALLS }, (_, n) => ({
    callId: randomUUID(),
    audio: generatedCall(1 + (n % 3), 5_000 + n),
  }));
  const filling = (async () => {
    for (const [n, { callId, audio }] of calls.entries()) {
      host.put(`call-${n}.wav.json`, JSON.stringify({ callId, queue }));
      host.put(`call-${n}.wav`, audio);
      await sleep(60);
    }
  })();
  let [kills, said] = [0, 0];
  let filled = false;
  void filling.then(() => {
    filled = true;
  });
  while (!filled || host.names().length > 0) {
    const agent = startWatch();
    // By what it has done, not by time alone, which on a busy machine it would spend on starting.
    const enough = 1 + Math.floor(Math.random() * 10);
    await until(() => storedBy(agent.out()) >= enough || (filled && host.names().length === 0));
    await sleep(Math.random() * 60);
    agent.signal('SIGKILL');
    kills += 1;
    said += storedBy((await agent.ended).out);
  }
  expect(kills).toBeGreaterThan(3);
  const found = await Promise.all(calls.map(({ callId }) => idsOf({ callId, queue })));
  expect(found.filter((ids) => ids.length !== 1)).toEqual([]);
  expect(new Set(found.flat()).size).toBe(CALLS);
  // Some were stored by an agent that did not live to say so.
  expect(said).toBeLessThanOrEqual(CALLS + kills * 3);
});
