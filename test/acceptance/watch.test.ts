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
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { AGENT } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { end, eventsOf, ofKind, sha256, watchesFolder } from '../support/watch-folder.ts';

/** `callvault watch` on a folder that a telephony system fills. */
const pbx = watchesFolder();
const { argsOf, newCall, once, recordingsOf, serverOf, watch } = pbx;

/** So long that a file that is written to every {@link STEP_MS} never rests as long, however busy the machine is. */
const REST_S = 4;
const STEP_MS = 250;

test('empties the folder, by the order of the vault’s word, and ends in order when told', async () => {
  const calls = Array.from({ length: 5 }, () => newCall());
  const agent = watch(['--concurrency', '2']);
  calls.forEach((audio, n) => {
    pbx.host.put(`${n}-0701740611.wav`, audio);
  });
  await until(() => pbx.host.names().length === 0);
  pbx.host.put('later.mp3', newCall());
  await until(() => pbx.host.names().length === 0);
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
  const path = join(pbx.host.spool, 'growing.wav');
  const agent = pbx.host.start(argsOf([], pbx.scene.vault.url, REST_S));
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
  const path = join(pbx.host.spool, 'paused.wav');
  const writing = openSync(path, 'w');
  writeSync(writing, audio.subarray(0, 8_000));
  const reading = openSync(pbx.host.put('read.wav', newCall()) as string, 'r');
  const agent = watch();
  await until(() => pbx.host.names().length === 1);
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
  const outside = join(pbx.host.home, 'outside.wav');
  writeFileSync(outside, newCall());
  mkdirSync(join(pbx.host.home, 'away'));
  writeFileSync(join(pbx.host.home, 'away', 'a.wav'), newCall());
  symlinkSync(outside, join(pbx.host.spool, 'link.wav'));
  symlinkSync(join(pbx.host.home, 'away'), join(pbx.host.spool, 'linked'));
  symlinkSync(join(pbx.host.spool, 'loop.wav'), join(pbx.host.spool, 'loop.wav'));
  symlinkSync('..', join(pbx.host.spool, 'up'));
  execFileSync('mkfifo', [join(pbx.host.spool, 'fifo.wav')]);
  execFileSync('python3', [
    '-c',
    'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])',
    join(pbx.host.spool, 's.wav'),
  ]);
  pbx.host.put('notes.txt', 'x');
  pbx.host.put('.part.wav', newCall());
  mkdirSync(join(pbx.host.spool, 'lower.wav'));
  writeFileSync(join(pbx.host.spool, 'lower.wav', 'b.wav'), newCall());
  const before = pbx.host.names();
  const flat = await once();
  expect(flat).toMatchObject({ code: 0, err: '' });
  expect(eventsOf(flat.out)).toMatchObject([{ event: 'end', stored: 0, found: 0, otherKinds: 2 }]);
  expect(pbx.host.names()).toEqual(before);
  const deep = await once(['--recursive']);
  expect(eventsOf(deep.out)).toMatchObject([{ event: 'stored' }, { event: 'end', stored: 1 }]);
  expect(existsSync(join(pbx.host.spool, 'lower.wav', 'b.wav'))).toBe(false);
  expect([outside, join(pbx.host.home, 'away', 'a.wav')].every((path) => existsSync(path))).toBe(true);
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
  for (const name of names) pbx.host.put(name, newCall());
  const { code, out, err } = await once();
  expect({ code, names: pbx.host.names() }).toEqual({ code: 0, names: [] });
  expect(eventsOf(out).at(-1)).toMatchObject({ stored: names.length, removed: names.length });
  expect(out + err).not.toMatch(/0701740612|📞|reboot/u);
});

test('zero bytes are delivered; a refused file stays, is said by its digest, and named on a terminal alone', async () => {
  const elf = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), newCall()]);
  pbx.host.put('0701740613.mp3', elf);
  pbx.host.put('empty.wav', '');
  const state = ['--state', pbx.host.stateFile];
  const first = await once(state);
  expect(first.code).toBe(1);
  expect(eventsOf(first.out)).toContainEqual({
    event: 'refused',
    sha256: sha256(elf),
    code: 'refused_content',
    reason: expect.any(String),
  });
  expect(pbx.host.names()).toEqual(['0701740613.mp3']);
  // It is remembered: not sent again by another process, until it changes.
  const second = await once(state);
  expect(eventsOf(second.out)).toMatchObject([{ event: 'end', refused: 1 }]);
  expect(readFileSync(pbx.host.stateFile, 'utf8')).not.toMatch(/0701740613/);
  expect(statSync(pbx.host.stateFile).mode & 0o077).toBe(0);
  const hidden = await pbx.host.run(argsOf([...state, '--list-refused']));
  expect(hidden).toMatchObject({ code: 2, out: '' });
  const command = [process.execPath, AGENT, ...argsOf([...state, '--list-refused'])].join(' ');
  const { stdout: shown, status } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8' });
  expect(status).toBe(1);
  expect(shown).toMatch(/refused_content\t"0701740613\.mp3"/);
});

test('a side file says more, goes along, and can be waited for', async () => {
  const audio = newCall();
  const callId = randomUUID();
  const path = pbx.host.put('call.wav', audio) as string;
  const agent = watch(['--with-side-file']);
  await sleep(1_500);
  expect(existsSync(path)).toBe(true);
  pbx.host.put('call.wav.json', JSON.stringify({ callId, callerNumber: '0701740614', segment: 3 }));
  pbx.host.put('alone.wav.json', '{}');
  await until(() => !existsSync(path));
  expect(pbx.host.names()).toEqual(['alone.wav.json']);
  expect(await end(agent)).toBe(0);
  expect(await recordingsOf({ callId, callerNumber: '0701740614' })).toHaveLength(1);
});

test('--keep: nothing is removed, nothing is sent twice, by a later process neither; a changed file is another', async () => {
  const [one, two, three] = [newCall(), newCall(), newCall()];
  const keep = ['--keep', '--state', pbx.host.stateFile];
  pbx.host.put('0701740615.wav', one);
  pbx.host.put('b.wav', two);
  expect(eventsOf((await once(keep)).out).at(-1)).toMatchObject({ stored: 2, removed: 0 });
  expect(eventsOf((await once(keep)).out)).toMatchObject([{ event: 'end', stored: 0, found: 2, waiting: 0 }]);
  // The state after a crash: half a line, then more.
  appendFileSync(pbx.host.stateFile, '+ 123 456');
  pbx.host.put('b.wav', three);
  expect(eventsOf((await once(keep)).out).filter(({ event }) => event === 'stored')).toMatchObject([
    { sha256: sha256(three) },
  ]);
  expect(eventsOf((await once(keep)).out).at(-1)).toMatchObject({ stored: 0 });
  expect(pbx.host.names()).toEqual(['0701740615.wav', 'b.wav']);
  expect(readFileSync(pbx.host.stateFile, 'utf8')).not.toMatch(/0701740615|\.wav/);
});

test('a file replaced while it was sent is not removed; the new one is handed over by itself', async () => {
  const [one, two] = [newCall(2), newCall(2)];
  const path = pbx.host.put('a.wav', one) as string;
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
        pbx.host.put('.new', two);
        utimesSync(join(pbx.host.spool, '.new'), atime, mtime);
        renameSync(join(pbx.host.spool, '.new'), path);
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
  for (let n = 0; n < count; n += 1) pbx.host.put(`${n}.wav`, newCall());
  await until(() => pbx.host.names().length === 0);
  for (const agent of agents) expect(await end(agent)).toBe(0);
  const events = agents.flatMap((agent) => agent.events());
  expect(events.filter(({ event, created }) => event === 'stored' && created === true)).toHaveLength(count);
  expect(events.filter(({ event }) => event === 'refused' || event === 'trouble')).toEqual([]);
});

test('files that come and go while it looks are no trouble', async () => {
  const agent = watch(['--concurrency', '8']);
  const audio = newCall();
  const first = pbx.host.put('first.wav', audio) as string;
  for (let n = 0; n < 200; n += 1) {
    linkSync(first, join(pbx.host.spool, `${n}.wav`));
    if (n % 3 === 0) await sleep(5);
    rmSync(join(pbx.host.spool, `${n}.wav`));
  }
  await until(() => pbx.host.names().length === 0);
  expect(ofKind(agent, 'trouble')).toEqual([]);
  await end(agent);
});

test.each<[string, number, string[]]>([
  // A share may be mounted later, and a disk be mended: a service is started anew.
  ['no folder', 3, ['/nowhere/at/all']],
  ['a file', 3, ['/etc/hostname']],
  ['a state that is something else', 3, ['SPOOL', '--state', '/etc/hostname']],
  // What was told stays wrong.
  ['--keep without a state', 2, ['SPOOL', '--keep']],
  ['a state in the folder', 2, ['SPOOL', '--state', 'SPOOL/state']],
])('%s: %i, in one sentence', async (_, expected, args) => {
  const given = args.map((arg) => arg.replace('SPOOL', pbx.host.spool));
  const { code, out, err } = await pbx.host.run([
    'watch',
    ...given,
    '--url',
    pbx.scene.vault.url,
    '--key-file',
    pbx.host.keyFile,
  ]);
  expect({ code, out }).toEqual({ code: expected, out: '' });
  expect(err).toMatch(/^callvault: .+\.\n$/);
});

test.each(['0', '0.099', '-1', 'NaN'])('a pause of %s seconds: 2, and the bound is said', async (none) => {
  for (const option of ['--interval', '--longest-pause']) {
    const { code, out, err } = await pbx.host.run(['watch', pbx.host.spool, `${option}=${none}`]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/seconds/);
  }
});

test('a name tells of the call where there is no side file; where there is one, that alone', async () => {
  const [read, told] = [newCall(), newCall()];
  pbx.host.put('0701740616_2026-03-01_08-15-30.wav', read);
  pbx.host.put('0701740617_2026-03-01_08-15-30.wav', told);
  pbx.host.put('0701740617_2026-03-01_08-15-30.wav.json', JSON.stringify({ callerNumber: '0701740618' }));
  expect((await once(['--time-zone', 'Europe/Stockholm'])).code).toBe(0);
  const [found] = await recordingsOf({ callerNumber: '0701740616' });
  expect(found).toMatchObject({ startedAt: '2026-03-01T07:15:30.000Z' });
  expect(await recordingsOf({ callerNumber: '0701740617' })).toEqual([]);
  expect(await recordingsOf({ callerNumber: '0701740618' })).toHaveLength(1);
});

test('empty recordings of two calls are two; the same one again is the same', async () => {
  const recordings = async (): Promise<unknown[]> => {
    pbx.host.put('empty-one.wav', '');
    pbx.host.put('empty-two.wav', '');
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
