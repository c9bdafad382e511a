import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Agent, createPbxHost, type PbxHost } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { createHttpClient } from '../support/http-client.ts';
import { startScene } from '../support/scene.ts';
import type { RunningVault } from '../support/vault.ts';

/** `callvault watch` while the vault itself is stopped, killed, full, or does not know the source for a while. */
let scene: Awaited<ReturnType<typeof startScene>>;
let vault: RunningVault;
let host: PbxHost;
let seed = 12_000;

beforeAll(async () => {
  scene = await startScene();
  vault = scene.vault;
});
afterAll(() => scene?.close());
beforeEach(() => {
  host = createPbxHost(scene.home.source.apiKey);
});
afterEach(() => host.close());

/** The largest floor there is, for a disk that never has so much free. */
const ALL = String(1024 ** 4);

const put = (name: string): string => {
  seed += 1;
  return host.put(name, generatedCall(1, seed)) as string;
};
const watch = (): Agent =>
  host.start([
    ...['watch', host.spool, '--url', scene.vault.url, '--key-file', host.keyFile, '--json'],
    ...['--interval', '0.2', '--longest-pause', '0.4', '--unseen-rest', '0'],
  ]);
const codes = (agent: Agent): unknown[] =>
  agent
    .events()
    .filter(({ event }) => event === 'later')
    .map(({ code }) => code);
const created = (agent: Agent): number =>
  agent.events().filter((event) => event.event === 'stored' && event.created === true).length;
const end = async (agent: Agent): Promise<void> => {
  agent.signal('SIGTERM');
  expect((await agent.ended).code).toBe(0);
};

test('stopped and started, killed and started: every file arrives, once', async () => {
  const agent = watch();
  let count = 0;
  for (const how of ['stop', 'kill'] as const) {
    for (let n = 0; n < 4; n += 1) put(`${how}-before-${n}.wav`);
    await vault[how]();
    for (let n = 0; n < 4; n += 1) put(`${how}-after-${n}.wav`);
    count += 8;
    const seen = codes(agent).length;
    await until(() => codes(agent).length > seen);
    vault = await scene.folder.start();
    await until(() => host.names().length === 0);
  }
  await end(agent);
  const stored = agent.events().filter(({ event }) => event === 'stored');
  expect(new Set(stored.map(({ sha256 }) => sha256)).size).toBe(count);
  // One that the vault took as it went is known again, not doubled.
  expect(new Set(stored.map(({ id }) => id)).size).toBe(count);
});

test('a source that is disabled: said, the files stay; enabled again, they go', async () => {
  const http = createHttpClient(vault.url);
  const admin = scene.home.admin;
  const turn = async (how: string): Promise<void> => {
    const { source } = scene.home;
    const { token } = await admin.signIn();
    const reply = await http.post(`/v1/admin/sources/${source.id}/${how}`, { token });
    expect(reply.status).toBe(200);
  };
  await turn('disable');
  const path = put('a.wav');
  const agent = watch();
  await until(() => codes(agent).length > 2);
  expect(new Set(codes(agent))).toEqual(new Set(['unauthenticated']));
  expect(existsSync(path)).toBe(true);
  await turn('enable');
  await until(() => !existsSync(path));
  await end(agent);
  http.close();
});

test('a vault without room: said, the files stay; with room, they go', async () => {
  await vault.stop();
  vault = await scene.folder.start({ FREE_DISK_FLOOR: ALL });
  const path = put('a.wav');
  const agent = watch();
  await until(() => codes(agent).length > 2);
  expect(new Set(codes(agent))).toEqual(new Set(['storage_full']));
  await sleep(500);
  expect(existsSync(path)).toBe(true);
  await vault.stop();
  vault = await scene.folder.start();
  await until(() => !existsSync(path));
  await end(agent);
  expect(created(agent)).toBe(1);
});
