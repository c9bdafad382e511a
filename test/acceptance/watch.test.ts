import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Agent, createPbxHost, type Given, type PbxHost } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { startScene } from '../support/scene.ts';

const AGENT = join(import.meta.dirname, '../../src/cli/agent-main.ts');
/** `callvault watch` on a folder that a telephony system fills. */
let scene: Awaited<ReturnType<typeof startScene>>;
let host: PbxHost;
let seed = 1_900;
const closing: (() => void)[] = [];

beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.close());
beforeEach(() => {
  host = createPbxHost(scene.home.source.apiKey);
});
afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await host.close();
});

const newCall = (seconds = 1): Buffer => {
  seed += 1;
  return generatedCall(seconds, seed);
};
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const argsOf = (args: readonly string[], url = scene.vault.url, restS = 0.3): string[] => [
  ...['watch', host.spool, '--url', url, '--key-file', host.keyFile, '--json'],
  ...['--interval', String(restS), '--longest-pause', '0.5', ...args],
];
/** So long that a file that is written to every {@link STEP_MS} never rests as long, however busy the machine is. */
const REST_S = 4;
const STEP_MS = 250;
const watch = (args: readonly string[] = [], url?: string, given?: Given): Agent =>
  host.start(argsOf(args, url), given);
const once = (args: readonly string[] = [], url?: string) => host.run(argsOf(['--once', ...args], url));
type Event = Record<string, unknown> & { readonly event: string };
const eventsOf = (out: string): Event[] =>
  out
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event);
const ofKind = (agent: Agent, kind: string): readonly Record<string, unknown>[] =>
  agent.events().filter(({ event }) => event === kind);
const end = async (agent: Agent): Promise<number | null> => {
  agent.signal('SIGTERM');
  return (await agent.ended).code;
};
const serverOf = async (listener: RequestListener): Promise<string> => {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};
const recordingsOf = async (query: object): Promise<{ id: string }[]> =>
  jsonOf<{ recordings: { id: string }[] }>(
    await scene.http.post('/v1/recordings/search', { token: await scene.own.nurse.token(), json: query }),
    200,
  ).recordings;

test('empties the folder, by the order of the vault’s word, and ends in order when told', async () => {
  const calls = Array.from({ length: 5 }, () => newCall());
  const agent = watch(['--concurrency', '2']);
  calls.forEach((audio, n) => {
    host.put(`${n}-0701740611.wav`, audio);
  });
  await until(() => host.names().length === 0);
  host.put('later.mp3', newCall());
  await until(() => host.names().length === 0);
  expect(await end(agent)).toBe(0);
  const stored = ofKind(agent, 'stored');
  expect(new Set(stored.map((event) => event.sha256))).toEqual(
    new Set([...calls.map(sha256), stored.at(-1)?.sha256]),
  );
  expect(stored.every(({ removal, created }) => removal === 'removed' && created === true)).toBe(true);
  expect(agent.events().at(-1)).toMatchObject({ event: 'end', stored: 6, removed: 6 });
  expect(JSON.stringify(agent.events()) + agent.said()).not.toMatch(/0701740611|later/);
  expect(await recordingsOf({ originalName: '3-0701740611.wav' })).toHaveLength(1);
});

test('a file still growing, or touched, is not taken before it has rested', async () => {
  const audio = newCall();
  const path = join(host.spool, 'growing.wav');
  const agent = host.start(argsOf([], scene.vault.url, REST_S));
  // Twice as long as it has to rest.
  const piece = Math.ceil((audio.length * STEP_MS) / (2 * REST_S * 1000));
  for (let at = 0; at < audio.length; at += piece) {
    appendFileSync(path, audio.subarray(at, at + piece));
    await sleep(STEP_MS);
    expect(existsSync(path)).toBe(true);
  }
  await until(() => !existsSync(path));
  await end(agent);
  expect(ofKind(agent, 'stored').map((event) => event.sha256)).toEqual([sha256(audio)]);
});

test('a recording that is paused, and so does not grow, is not taken while its writer has it open', async () => {
  const audio = newCall();
  const path = join(host.spool, 'paused.wav');
  const writing = openSync(path, 'w');
  writeSync(writing, audio.subarray(0, 8_000));
  const reading = openSync(host.put('read.wav', newCall()) as string, 'r');
  const agent = watch();
  await until(() => host.names().length === 1);
  await sleep(1_500);
  writeSync(writing, audio.subarray(8_000));
  closeSync(writing);
  closeSync(reading);
  await until(() => !existsSync(path));
  await end(agent);
  expect(ofKind(agent, 'stored').map((event) => event.sha256)).toContain(sha256(audio));
  expect(ofKind(agent, 'stored')).toHaveLength(2);
});

test('what is no finished recording of this folder stays: links, FIFOs, other kinds, hidden and lower ones', async () => {
  const outside = join(host.home, 'outside.wav');
  writeFileSync(outside, newCall());
  mkdirSync(join(host.home, 'away'));
  writeFileSync(join(host.home, 'away', 'a.wav'), newCall());
  symlinkSync(outside, join(host.spool, 'link.wav'));
  symlinkSync(join(host.home, 'away'), join(host.spool, 'linked'));
  symlinkSync(join(host.spool, 'loop.wav'), join(host.spool, 'loop.wav'));
  symlinkSync('..', join(host.spool, 'up'));
  execFileSync('mkfifo', [join(host.spool, 'fifo.wav')]);
  execFileSync('python3', [
    '-c',
    'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])',
    join(host.spool, 's.wav'),
  ]);
  host.put('notes.txt', 'x');
  host.put('.part.wav', newCall());
  mkdirSync(join(host.spool, 'lower.wav'));
  writeFileSync(join(host.spool, 'lower.wav', 'b.wav'), newCall());
  const before = host.names();
  const flat = await once();
  expect(flat).toMatchObject({ code: 0, err: '' });
  expect(eventsOf(flat.out)).toMatchObject([{ event: 'end', stored: 0, found: 0, otherKinds: 2 }]);
  expect(host.names()).toEqual(before);
  const deep = await once(['--recursive']);
  expect(eventsOf(deep.out)).toMatchObject([{ event: 'stored' }, { event: 'end', stored: 1 }]);
  expect(existsSync(join(host.spool, 'lower.wav', 'b.wav'))).toBe(false);
  expect([outside, join(host.home, 'away', 'a.wav')].every((path) => existsSync(path))).toBe(true);
});

test('any name is taken, and none is shown: newlines, quotes, emoji, no text at all, as long as can be', async () => {
  const names = [
    'line\nbreak 0701740612.wav',
    `"quote'$(reboot)\`;0701740612.wav`,
    'x..%2f..%2f0701740612.wav',
    '-rf 0701740612.wav',
    `${'📞'.repeat(62)}é.wav`,
    Buffer.concat([Buffer.from([0xff, 0xfe, 0x80]), Buffer.from('0701740612.wav')]),
    ' .wav',
    'é\u202e\u0007.wav',
  ];
  for (const name of names) host.put(name, newCall());
  const { code, out, err } = await once();
  expect({ code, names: host.names() }).toEqual({ code: 0, names: [] });
  expect(eventsOf(out).at(-1)).toMatchObject({ stored: names.length, removed: names.length });
  expect(out + err).not.toMatch(/0701740612|📞|reboot/u);
});

test('zero bytes are delivered; a refused file stays, is said by its digest, and named on a terminal alone', async () => {
  const elf = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), newCall()]);
  host.put('0701740613.mp3', elf);
  host.put('empty.wav', '');
  const state = ['--state', host.stateFile];
  const first = await once(state);
  expect(first.code).toBe(1);
  expect(eventsOf(first.out)).toContainEqual({
    event: 'refused',
    sha256: sha256(elf),
    code: 'refused_content',
    reason: expect.any(String),
  });
  expect(host.names()).toEqual(['0701740613.mp3']);
  // It is remembered: not sent again by another process, until it changes.
  const second = await once(state);
  expect(eventsOf(second.out)).toMatchObject([{ event: 'end', refused: 1 }]);
  expect(readFileSync(host.stateFile, 'utf8')).not.toMatch(/0701740613/);
  expect(statSync(host.stateFile).mode & 0o077).toBe(0);
  const hidden = await host.run(argsOf([...state, '--list-refused']));
  expect(hidden).toMatchObject({ code: 2, out: '' });
  const command = [process.execPath, AGENT, ...argsOf([...state, '--list-refused'])].join(' ');
  const { stdout: shown, status } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8' });
  expect(status).toBe(1);
  expect(shown).toMatch(/refused_content\t"0701740613\.mp3"/);
});

test('a side file says more, goes along, and can be waited for', async () => {
  const audio = newCall();
  const callId = randomUUID();
  const path = host.put('call.wav', audio) as string;
  const agent = watch(['--with-side-file']);
  await sleep(1_500);
  expect(existsSync(path)).toBe(true);
  host.put('call.wav.json', JSON.stringify({ callId, callerNumber: '0701740614', segment: 3 }));
  host.put('alone.wav.json', '{}');
  await until(() => !existsSync(path));
  expect(host.names()).toEqual(['alone.wav.json']);
  expect(await end(agent)).toBe(0);
  expect(await recordingsOf({ callId, callerNumber: '0701740614' })).toHaveLength(1);
});

test('--keep: nothing is removed, nothing is sent twice, by a later process neither; a changed file is another', async () => {
  const [one, two, three] = [newCall(), newCall(), newCall()];
  const keep = ['--keep', '--state', host.stateFile];
  host.put('0701740615.wav', one);
  host.put('b.wav', two);
  expect(eventsOf((await once(keep)).out).at(-1)).toMatchObject({ stored: 2, removed: 0 });
  expect(eventsOf((await once(keep)).out)).toMatchObject([{ event: 'end', stored: 0, found: 2, waiting: 0 }]);
  // The state after a crash: half a line, then more.
  appendFileSync(host.stateFile, '+ 123 456');
  host.put('b.wav', three);
  expect(eventsOf((await once(keep)).out).filter(({ event }) => event === 'stored')).toMatchObject([
    { sha256: sha256(three) },
  ]);
  expect(eventsOf((await once(keep)).out).at(-1)).toMatchObject({ stored: 0 });
  expect(host.names()).toEqual(['0701740615.wav', 'b.wav']);
  expect(readFileSync(host.stateFile, 'utf8')).not.toMatch(/0701740615|\.wav/);
});

test('a state that cannot be written: said once, nothing is removed, and the rest goes on', async () => {
  host.put('a.wav', newCall());
  const agent = watch(['--keep', '--state', '/proc/callvault/state']);
  expect((await agent.ended).code).toBe(3);
  // A disk that is full: a file system of one page, filled.
  const small = join(host.home, 'small');
  mkdirSync(small);
  const mounted = `mount -t tmpfs -o size=8k tmpfs "$1" && printf 'callvault watch 1\\n' > "$1/s" && chmod 600 "$1/s" && chmod 700 "$1" && { dd if=/dev/zero of="$1/fill" bs=4k count=8 2>/dev/null; head -c 4078 /dev/zero >> "$1/s"; true; }; shift; exec "$@"`;
  const full = host.start(argsOf(['--keep', '--state', join(small, 's')]), {
    program: [
      'unshare',
      '--mount',
      ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
      'sh',
      '-c',
      mounted,
      'sh',
      small,
      process.execPath,
      AGENT,
    ],
  });
  await until(() => ofKind(full, 'stored').length === 1 && ofKind(full, 'trouble').length === 1);
  host.put('b.wav', newCall());
  await until(() => ofKind(full, 'stored').length === 2);
  expect(ofKind(full, 'trouble')).toEqual([{ event: 'trouble', what: 'state', code: 'unwritten' }]);
  expect(await end(full)).toBe(0);
  expect(host.names()).toEqual(['a.wav', 'b.wav']);
});

test('the vault is away for a while, and then not: every file arrives, once', async () => {
  let up = false;
  let asked = 0;
  let underWay = 0;
  const atOnce: number[] = [];
  const target = new URL(scene.vault.url);
  const { request: forward } = await import('node:http');
  const url = await serverOf((request, answer) => {
    asked += 1;
    if (!up) {
      underWay += 1;
      atOnce.push(underWay);
      // Not at once, so that another that did not wait for it would be seen.
      request.resume().on('end', async () => {
        await sleep(100);
        underWay -= 1;
        answer.writeHead(asked % 2 ? 503 : 507, { 'retry-after': '0' }).end();
      });
      return;
    }
    const onward = forward(
      {
        host: target.hostname,
        port: target.port,
        path: request.url,
        method: request.method,
        headers: request.headers,
      },
      (got) => {
        answer.writeHead(got.statusCode ?? 500, got.headers);
        got.pipe(answer);
      },
    );
    request.pipe(onward);
  });
  for (let n = 0; n < 6; n += 1) host.put(`${n}.wav`, newCall());
  const agent = watch([], url);
  await until(() => asked > 12);
  expect(host.names()).toHaveLength(6);
  // Once the first have failed one at a time is tried, not six.
  expect(new Set(atOnce.slice(6))).toEqual(new Set([1]));
  up = true;
  await until(() => host.names().length === 0);
  await end(agent);
  expect(ofKind(agent, 'stored')).toHaveLength(6);
  expect(ofKind(agent, 'later').every(({ vault }) => vault === true)).toBe(true);
});

test('one file that never gets through does not hold up the others', async () => {
  const poison = newCall(3);
  const target = new URL(scene.vault.url);
  const { request: forward } = await import('node:http');
  const url = await serverOf((request, answer) => {
    if (request.headers['content-length'] === String(poison.length)) {
      request.socket.destroy();
      return;
    }
    request.pipe(
      forward(
        {
          host: target.hostname,
          port: target.port,
          path: request.url,
          method: request.method,
          headers: request.headers,
        },
        (got) => {
          answer.writeHead(got.statusCode ?? 500, got.headers);
          got.pipe(answer);
        },
      ),
    );
  });
  host.put('0-poison.wav', poison);
  for (let n = 1; n < 6; n += 1) host.put(`${n}.wav`, newCall());
  const agent = watch(['--concurrency', '1'], url);
  await until(() => host.names().length === 1);
  expect(host.names()).toEqual(['0-poison.wav']);
  await end(agent);
});

test.each<[string, string, RegExp]>([
  ['a wrong key', 'unauthenticated', /key/],
  ['another address', 'http_404', /URL/],
  ['nobody', 'unreachable', /running/],
])('%s: said clearly and seldom, the file is kept, tried again', async (what, code, words) => {
  host.put('a.wav', newCall());
  let url = scene.vault.url;
  if (what === 'a wrong key') writeFileSync(host.keyFile, 'cvk_wrong');
  if (what === 'another address')
    url = await serverOf((request, answer) => request.resume().on('end', () => answer.writeHead(404).end()));
  if (what === 'nobody') url = 'http://127.0.0.1:1';
  const agent = host.start(argsOf([], url).filter((arg) => arg !== '--json'));
  await until(() => words.test(agent.said()));
  await sleep(2_000);
  expect(agent.said()).toMatch(
    new RegExp(`^callvault: Not stored, and kept: [^\\n]+ \\(${code}\\); next try in \\d+ s\\n$`),
  );
  expect(host.names()).toEqual(['a.wav']);
  expect(await end(agent)).toBe(0);
  expect(await once([], url)).toMatchObject({ code: 3 });
});

test('a file replaced while it was sent is not removed; the new one is handed over by itself', async () => {
  const [one, two] = [newCall(2), newCall(2)];
  const path = host.put('a.wav', one) as string;
  const taken: string[] = [];
  const url = await serverOf((request, answer) => {
    const hash = createHash('sha256');
    request.on('data', (piece: Buffer) => hash.update(piece));
    request.on('end', () => {
      const digest = hash.digest('hex');
      taken.push(digest);
      if (taken.length === 1) {
        // Its size and its times as before: only the inode tells.
        const { atime, mtime } = statSync(path);
        host.put('.new', two);
        utimesSync(join(host.spool, '.new'), atime, mtime);
        renameSync(join(host.spool, '.new'), path);
      }
      answer.writeHead(201).end(JSON.stringify({ id: randomUUID(), sha256: digest }));
    });
  });
  const agent = watch([], url);
  await until(() => !existsSync(path));
  expect(taken).toEqual([sha256(one), sha256(two)]);
  await end(agent);
});

test('two agents on one folder: one recording of each file, and no complaint', async () => {
  const count = 12;
  const agents = [watch(), watch(['--concurrency', '8'])];
  for (let n = 0; n < count; n += 1) host.put(`${n}.wav`, newCall());
  await until(() => host.names().length === 0);
  for (const agent of agents) expect(await end(agent)).toBe(0);
  const events = agents.flatMap((agent) => agent.events());
  expect(events.filter(({ event, created }) => event === 'stored' && created === true)).toHaveLength(count);
  expect(events.filter(({ event }) => event === 'refused' || event === 'trouble')).toEqual([]);
});

test('SIGTERM: what is under way ends, nothing new begins; a second one cuts it off', async () => {
  const held: (() => void)[] = [];
  const url = await serverOf((request, answer) => {
    const hash = createHash('sha256');
    request.on('data', (piece: Buffer) => hash.update(piece));
    request.on('end', () => {
      const body = JSON.stringify({ id: randomUUID(), sha256: hash.digest('hex') });
      held.push(() => answer.writeHead(201).end(body));
    });
  });
  for (let n = 0; n < 4; n += 1) host.put(`${n}.wav`, newCall());
  const agent = watch(['--concurrency', '2'], url);
  await until(() => held.length === 2);
  agent.signal('SIGTERM');
  // It has nothing else to do, so it is heard by then.
  await sleep(2_000);
  for (const answer of held) answer();
  expect((await agent.ended).code).toBe(0);
  expect(held).toHaveLength(2);
  expect(host.names()).toHaveLength(2);

  held.length = 0;
  const other = watch(['--concurrency', '2'], url);
  await until(() => held.length === 2);
  // Two that come before it has looked are one.
  const signalling = setInterval(() => other.signal('SIGTERM'), 500);
  expect((await other.ended).code).toBe(0);
  clearInterval(signalling);
  expect(host.names()).toHaveLength(2);
});

test('the folder goes away and comes back, as a share does', async () => {
  const agent = watch();
  host.put('before.wav', newCall());
  await until(() => host.names().length === 0);
  const away = `${host.spool}.away`;
  renameSync(host.spool, away);
  await until(() => ofKind(agent, 'trouble').length > 0);
  renameSync(away, host.spool);
  host.put('a.wav', newCall());
  await until(() => host.names().length === 0);
  expect(ofKind(agent, 'trouble')).toEqual([{ event: 'trouble', what: 'folder', code: 'ENOENT' }]);
  await end(agent);
});

test('files that come and go while it looks are no trouble', async () => {
  const agent = watch(['--concurrency', '8']);
  const audio = newCall();
  const first = host.put('first.wav', audio) as string;
  for (let n = 0; n < 200; n += 1) {
    linkSync(first, join(host.spool, `${n}.wav`));
    if (n % 3 === 0) await sleep(5);
    rmSync(join(host.spool, `${n}.wav`));
  }
  await until(() => host.names().length === 0);
  expect(ofKind(agent, 'trouble')).toEqual([]);
  await end(agent);
});

test.each([
  ['no folder', ['/nowhere/at/all']],
  ['a file', ['/etc/hostname']],
  ['--keep without a state', ['SPOOL', '--keep']],
  ['a state in the folder', ['SPOOL', '--state', 'SPOOL/state']],
  ['a state that is something else', ['SPOOL', '--state', '/etc/hostname']],
])('%s: 3, in one sentence', async (_, args) => {
  const given = args.map((arg) => arg.replace('SPOOL', host.spool));
  const { code, out, err } = await host.run([
    'watch',
    ...given,
    '--url',
    scene.vault.url,
    '--key-file',
    host.keyFile,
  ]);
  expect({ code, out }).toEqual({ code: 3, out: '' });
  expect(err).toMatch(/^callvault: .+\.\n$/);
});

test('a name tells of the call where there is no side file; where there is one, that alone', async () => {
  const [read, told] = [newCall(), newCall()];
  host.put('0701740616_2026-03-01_08-15-30.wav', read);
  host.put('0701740617_2026-03-01_08-15-30.wav', told);
  host.put('0701740617_2026-03-01_08-15-30.wav.json', JSON.stringify({ callerNumber: '0701740618' }));
  expect((await once(['--time-zone', 'Europe/Stockholm'])).code).toBe(0);
  const [found] = await recordingsOf({ callerNumber: '0701740616' });
  expect(found).toMatchObject({ startedAt: '2026-03-01T07:15:30.000Z' });
  expect(await recordingsOf({ callerNumber: '0701740617' })).toEqual([]);
  expect(await recordingsOf({ callerNumber: '0701740618' })).toHaveLength(1);
});

test('empty recordings of two calls are two; the same one again is the same', async () => {
  const recordings = async (): Promise<unknown[]> => {
    host.put('empty-one.wav', '');
    host.put('empty-two.wav', '');
    const { code, out } = await once();
    expect(code).toBe(0);
    return eventsOf(out)
      .filter(({ event }) => event === 'stored')
      .map(({ id }) => id)
      .toSorted();
  };
  const first = await recordings();
  expect(new Set(first).size).toBe(2);
  expect(await recordings()).toEqual(first);
});
