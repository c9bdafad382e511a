import { randomUUID } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { request as forward } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AGENT, type Agent } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { type ClientKind, type Mounted, type SmbShare, startSmbShare } from '../support/smb-share.ts';
import { end, ofKind, sha256, watchesFolder } from '../support/watch-folder.ts';

/**
 * `callvault watch` on a real share: Samba's smbd, mounted over FUSE by Samba's own client library (smbnetfs) or by rclone. Who
 * writes on the server's side, or from another client, cannot be seen from the mount.
 */
const pbx = watchesFolder();
let share: SmbShare;
let mounted: Mounted;
let queue: string;
const opened: number[] = [];
beforeEach(async () => {
  share = await startSmbShare();
  queue = `Q-${randomUUID()}`;
});
// Also of a test that failed: server, clients and mounts end here, by their ids.
afterEach(async () => {
  for (const fd of opened.splice(0)) closeSync(fd);
  await share?.close();
});

/** What the server has, whoever looks at it. */
const served = (): string[] => readdirSync(share.served).toSorted();
const onServer = (name: string): string => join(share.served, name);
const watchShare = (more: readonly string[] = [], url?: string): Agent => {
  const program = [...share.inside, process.execPath, AGENT];
  const [first = '', , ...args] = pbx.argsOf(
    ['--unseen-rest', '1', '--field', `queue=${queue}`, ...more],
    url,
  );
  return pbx.host.start([first, mounted.path, ...args], { program });
};
const storedBy = (agent: Agent): unknown[] => ofKind(agent, 'stored').map((event) => event.sha256);
const troublesOf = (agent: Agent, what: string): unknown[] =>
  ofKind(agent, 'trouble').flatMap((event) => (event.what === what ? [event.code] : []));

/** A vault behind a door: each delivery waits before it, and its answer behind it. */
const doorOf = (before: (count: number) => Promise<void>, behind: (count: number) => Promise<void>) => {
  let count = 0;
  return pbx.serverOf(async (request, answer) => {
    count += 1;
    const own = count;
    const { hostname: host, port } = new URL(pbx.scene.vault.url);
    const { url: path, method, headers } = request;
    await before(own);
    const onward = forward({ host, port, path, method, headers }, async (got) => {
      await behind(own);
      answer.writeHead(got.statusCode ?? 500, got.headers);
      got.pipe(answer);
    });
    request.pipe(onward);
  });
};
const nothing = async (): Promise<void> => undefined;

test.each<ClientKind>(['smbnetfs', 'rclone'])(
  '%s: what is written slowly at the server is taken whole when it rests, and removed there',
  async (kind) => {
    mounted = await share.mount(kind);
    const agent = watchShare();
    const call = pbx.newCall(5);
    for (let at = 0; at < call.length; at += 20_000) {
      appendFileSync(onServer('a.wav'), call.subarray(at, at + 20_000));
      await sleep(450);
      expect([storedBy(agent), served()]).toEqual([[], ['a.wav']]);
    }
    writeFileSync(onServer('a.wav.json'), '{"callId":"42"}');
    await until(() => served().length === 0);
    await end(agent);
    expect(storedBy(agent)).toEqual([sha256(call)]);
    expect(ofKind(agent, 'trouble')).toEqual([]);
    expect(await pbx.recordingsOf({ queue, callId: '42' })).toHaveLength(1);
  },
);

test('a recorder on another client that pauses for longer: the share does not let its file be removed, and the whole call comes', async () => {
  mounted = await share.mount('smbnetfs');
  const recorder = await share.mount('smbnetfs', 'recorder');
  const call = pbx.newCall(6);
  const half = call.length / 2;
  const fd = openSync(join(share.outside(recorder.path), 'a.wav'), 'w');
  opened.push(fd);
  writeSync(fd, call.subarray(0, half));
  const agent = watchShare();
  await until(() => troublesOf(agent, 'removal_later').length > 0);
  expect([storedBy(agent)[0], served()]).toEqual([sha256(call.subarray(0, half)), ['a.wav']]);
  writeSync(fd, call.subarray(half));
  for (const one of opened.splice(0)) closeSync(one);
  await until(() => served().length === 0);
  await end(agent);
  expect(troublesOf(agent, 'removal_later')).toEqual(['EBUSY']);
  expect(new Set(storedBy(agent))).toEqual(new Set([sha256(call.subarray(0, half)), sha256(call)]));
  expect(await pbx.recordingsOf({ queue })).toHaveLength(2);
});

test('written to while it is sent, and again under its name after it was removed: nothing is lost', async () => {
  mounted = await share.mount('smbnetfs');
  const [call, other] = [pbx.newCall(6), pbx.newCall(5)];
  const half = call.length / 2;
  // Later than what a client believes of a file without asking, which is a second.
  const grows = async (count: number): Promise<void> => {
    if (count !== 1) return;
    appendFileSync(onServer('a.wav'), call.subarray(half));
    await sleep(1_200);
  };
  const agent = watchShare([], await doorOf(nothing, grows));
  writeFileSync(onServer('a.wav'), call.subarray(0, half));
  await until(() => storedBy(agent).length === 1);
  writeFileSync(onServer('a.wav'), other);
  await until(() => storedBy(agent).length === 2 && served().length === 0);
  await end(agent);
  expect(storedBy(agent)).toEqual([sha256(call), sha256(other)]);
});

test('killed (SIGKILL) again and again: nothing lost, nothing doubled', async () => {
  mounted = await share.mount('smbnetfs');
  const calls = Array.from({ length: 12 }, () => pbx.newCall(2));
  for (const [n, call] of calls.entries()) writeFileSync(onServer(`${n}.wav`), call);
  let kills = 0;
  while (served().length > 0) {
    const agent = watchShare(['--concurrency', '1']);
    const enough = served().length - 3;
    await until(() => served().length <= Math.max(0, enough));
    agent.signal('SIGKILL');
    expect((await agent.ended).code).toBe(null);
    kills += 1;
  }
  expect(kills).toBeGreaterThan(2);
  expect(await pbx.recordingsOf({ queue })).toHaveLength(calls.length);
});

test('the server stops, and returns: said, tried again, and what came meanwhile is taken', async () => {
  mounted = await share.mount('smbnetfs');
  const calls = [pbx.newCall(5), pbx.newCall(5)] as const;
  // It goes away when the vault has the recording and has not said so yet.
  const stops = async (count: number): Promise<void> => {
    if (count === 1) await share.stopServer();
  };
  const agent = watchShare([], await doorOf(nothing, stops));
  writeFileSync(onServer('a.wav'), calls[0]);
  await until(() => troublesOf(agent, 'folder').length > 0);
  expect(served()).toEqual(['a.wav']);
  writeFileSync(onServer('b.wav'), calls[1]);
  await share.startServer();
  await until(() => served().length === 0);
  await end(agent);
  expect(troublesOf(agent, 'folder')).toEqual(['EIO']);
  expect(new Set(storedBy(agent))).toEqual(new Set(calls.map(sha256)));
  expect(await pbx.recordingsOf({ queue })).toHaveLength(2);
});

test('the mount dies, is gone, and returns: said each time, an empty mount point is not taken for an empty share', async () => {
  mounted = await share.mount('smbnetfs');
  const [first, second] = [pbx.newCall(5), pbx.newCall(5)];
  const dies = async (count: number): Promise<void> => {
    if (count === 1) await mounted.kill();
  };
  const agent = watchShare([], await doorOf(nothing, dies));
  writeFileSync(onServer('a.wav'), first);
  await until(() => troublesOf(agent, 'folder').length > 0);
  expect(troublesOf(agent, 'folder')).toEqual(['ENOTCONN']);
  await mounted.unmount();
  // Not the share's: what somebody put where it is mounted.
  writeFileSync(join(mounted.path, 'under.wav'), pbx.newCall(5));
  await until(() => troublesOf(agent, 'folder').length > 1);
  await sleep(2_000);
  expect(troublesOf(agent, 'folder')).toEqual(['ENOTCONN', 'unmounted']);
  writeFileSync(onServer('b.wav'), second);
  mounted = await share.mount('smbnetfs');
  await until(() => served().length === 0);
  await end(agent);
  expect(new Set(storedBy(agent))).toEqual(new Set([sha256(first), sha256(second)]));
  expect(await pbx.recordingsOf({ queue })).toHaveLength(2);
  await mounted.unmount();
  expect(existsSync(join(mounted.path, 'under.wav'))).toBe(true);
});

test('the share hangs: said, and when it answers again all goes on', async () => {
  mounted = await share.mount('smbnetfs');
  const [first, call] = [pbx.newCall(5), pbx.newCall(5)];
  const agent = watchShare();
  writeFileSync(onServer('a.wav'), first);
  await until(() => storedBy(agent).length === 1);
  mounted.freeze();
  writeFileSync(onServer('b.wav'), call);
  await until(() => troublesOf(agent, 'folder').length > 0);
  expect([troublesOf(agent, 'folder'), storedBy(agent), served()]).toEqual([
    ['ETIMEDOUT'],
    [sha256(first)],
    ['b.wav'],
  ]);
  mounted.thaw();
  await until(() => served().length === 0);
  await end(agent);
  expect(storedBy(agent)).toEqual([sha256(first), sha256(call)]);
});
