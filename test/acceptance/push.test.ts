import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Given } from '../support/agent.ts';
import { sha256 } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { pbxBesideVault } from '../support/pbx-beside-vault.ts';

/** `callvault push`, as the post command of a telephony system runs it. */
const pbx = pbxBesideVault();
const { newCall, serverOf, recordingsOf: search } = pbx;

type FileResult = Record<string, unknown> & { outcome: string; id?: string };
const push = async (args: readonly string[], given: Given = {}, url = pbx.scene.vault.url) => {
  const ended = await pbx.host.run(
    ['push', '--url', url, '--key-file', pbx.host.keyFile, '--json', ...args],
    given,
  );
  const files = ended.out === '' ? [] : (JSON.parse(ended.out) as { files: FileResult[] }).files;
  return { ...ended, files };
};
// What is handed over.
test('is removed when the vault has answered for its bytes, and is found by what was said of it', async () => {
  const [audio, callId] = [newCall(), randomUUID()];
  const file = pbx.host.put('q-0701740606.wav', audio) as string;
  pbx.host.put(
    'q-0701740606.wav.json',
    JSON.stringify({ callerNumber: '0701740606', channels: { 0: 'mixed' } }),
  );
  const { code, files, err } = await push(['--remove', '--call-id', callId, file]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(files).toMatchObject([
    { outcome: 'stored', created: true, sha256: sha256(audio), bytes: audio.length, removal: 'removed' },
  ]);
  expect(pbx.host.names()).toEqual([]);
  expect(await search({ callId })).toMatchObject([{ id: files[0]?.id, callerNumber: '0701740606' }]);
  expect(await search({ originalName: 'q-0701740606.wav' })).toHaveLength(1);
});

test('stays without --remove; again, and under another name, it is the same recording', async () => {
  const audio = newCall();
  const first = await push([pbx.host.put('a.wav', audio) as string]);
  const again = await push([pbx.host.put('a.wav', audio) as string, pbx.host.put('b.mp3', audio) as string]);
  expect([first, again].map(({ code }) => code)).toEqual([0, 0]);
  expect(again.files.map(({ id, created }) => ({ id, created }))).toEqual(
    Array(2).fill({ id: first.files[0]?.id, created: false }),
  );
  expect(pbx.host.names()).toEqual(['a.wav', 'b.mp3']);
});

test('two legs of one call are two recordings of it', async () => {
  const callId = randomUUID();
  const legs = ['in.wav', 'out.wav'].map((name) => pbx.host.put(name, newCall()) as string);
  expect((await push(['--call-id', callId, ...legs])).code).toBe(0);
  expect(await search({ callId })).toHaveLength(2);
});

test.each<[string, string[], Given]>([
  ['variables', [], { env: { CALLVAULT_CALLER_NUMBER: '0701740607', CALLVAULT_QUEUE: 'Språk' } }],
  ['the standard input', ['--metadata-stdin'], { input: '{"callerNumber":"0701740607","queue":"Språk"}' }],
  [
    'options and the input',
    ['--metadata-stdin', '--field', 'queue=Språk'],
    { input: '{"callerNumber":"0701740607"}' },
  ],
])('what is known of the call comes from %s', async (_, args, given) => {
  const { code, files, err } = await push([...args, pbx.host.put('a.wav', newCall()) as string], given);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect((await search({ callerNumber: '0701740607', queue: 'Språk' })).map(({ id }) => id)).toContain(
    files[0]?.id,
  );
});

test('without options: address, key and authority come from variables', async () => {
  const env = { CALLVAULT_URL: pbx.scene.vault.url, CALLVAULT_SOURCE_KEY_FILE: pbx.host.keyFile };
  const { code, out } = await pbx.host.run(['push', pbx.host.put('a.wav', newCall()) as string], {
    env,
  });
  expect({ code, out }).toEqual({
    code: 0,
    out: expect.stringMatching(/^stored\t[0-9a-f-]{36}\tsha256:[0-9a-f]{64}\n$/),
  });
});

test('the name is read only when told so', async () => {
  const file = pbx.host.put('0701740623_2026-03-01_08-15-30.wav', newCall()) as string;
  expect((await push([file])).code).toBe(0);
  expect(await search({ callerNumber: '0701740623' })).toEqual([]);
  const other = pbx.host.put('0701740624_2026-03-01_08-15-30.wav', newCall()) as string;
  expect((await push(['--read-name', other])).code).toBe(0);
  expect(await search({ callerNumber: '0701740624' })).toHaveLength(1);
});

test('zero bytes are a recording too, for they are evidence of a call', async () => {
  const { code, files } = await push([
    '--remove',
    '--call-id',
    randomUUID(),
    pbx.host.put('empty.wav', '') as string,
  ]);
  expect({ code, files }).toMatchObject({
    code: 0,
    files: [{ outcome: 'stored', bytes: 0, removal: 'removed' }],
  });
});

test('a name of 255 bytes of emoji, quotes and a newline is delivered, and shown nowhere', async () => {
  const name = `${'📞'.repeat(59)}';"\n0701740608.wav`;
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
  const { code, out, err } = await push([
    pbx.host.put(name, newCall()) as string,
    join(pbx.host.spool, 'no-0701740608'),
  ]);
  expect(code).toBe(3);
  expect(out + err).not.toMatch(/0701740608|📞/u);
});

// What is not handed over stays.
test('an executable that calls itself a recording: refused, 1', async () => {
  const elf = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), newCall()]);
  const { code, files, err } = await push(['--remove', pbx.host.put('a.mp3', elf) as string]);
  expect({ code, outcome: files[0]?.outcome }).toEqual({ code: 1, outcome: 'refused' });
  expect(err).toMatch(/^callvault: file 1 is refused: .+ \(refused_content\)\n$/);
  expect(pbx.host.names()).toEqual(['a.mp3']);
});

test('links, FIFOs, folders and what is not there: said, 3, and nothing waits', async () => {
  symlinkSync(pbx.host.put('real.wav', newCall()), join(pbx.host.spool, 'link.wav'));
  execFileSync('mkfifo', [join(pbx.host.spool, 'fifo.wav')]);
  const names = ['link.wav', 'fifo.wav', '.', 'none.wav'];
  const { code, files } = await push(['--remove', ...names.map((name) => join(pbx.host.spool, name))]);
  expect(code).toBe(3);
  expect(files.map(({ outcome }) => outcome)).toEqual(['no_file', 'no_file', 'no_file', 'gone']);
  expect(pbx.host.names()).toEqual(['fifo.wav', 'link.wav', 'real.wav']);
});

test.each<[string, string]>([
  ['not JSON', '{"callerNumber":"0701740609"'],
  ['a field that is not known', '{"0701740609":"x"}'],
  ['a value of another kind', '{"callerNumber":[701740609]}'],
  ['a control character', '{"queue":"0701740609\\r\\nx-call-queue: y"}'],
  ['a value the vault refuses', '{"personalNumber":"0701740609"}'],
])('a side file with %s: refused without showing it', async (_, side) => {
  const file = pbx.host.put('a.wav', newCall()) as string;
  pbx.host.put('a.wav.json', side);
  const { code, out, err } = await push(['--remove', file]);
  expect(code).toBe(1);
  expect(out + err).toMatch(/not_acceptable_metadata/);
  expect(out + err).not.toMatch(/0701740609|701740609|x-call/);
  expect(pbx.host.names()).toEqual(['a.wav', 'a.wav.json']);
});

test('a call from the day after tomorrow: the message says clock, and it is no refusal', async () => {
  const startedAt = new Date(Date.now() + 2 * 86_400_000).toISOString();
  const args = ['--remove', '--try-for', '0', '--field', `startedAt=${startedAt}`];
  const { code, files, err } = await push([...args, pbx.host.put('a.wav', newCall()) as string]);
  expect({ code, files }).toMatchObject({ code: 3, files: [{ outcome: 'later', code: 'clock' }] });
  expect(err).toMatch(/clock/);
  expect(pbx.host.names()).toEqual(['a.wav']);
});

test('a key that the vault does not know is not tried again: 3 at once', async () => {
  writeFileSync(pbx.host.keyFile, 'cvk_wrong');
  const { code, files, err } = await push(['--remove', pbx.host.put('a.wav', newCall()) as string]);
  expect({ code, files }).toMatchObject({
    code: 3,
    files: [{ outcome: 'later', code: 'unauthenticated' }],
  });
  expect(err).toMatch(/key/);
  expect(err).not.toMatch(/cvk_/);
  expect(pbx.host.names()).toEqual(['a.wav']);
});

test('an answer that is no vault’s removes nothing, whatever it says', async () => {
  const url = await serverOf((request, answer) => {
    request
      .resume()
      .on('end', () =>
        answer.writeHead(201).end(JSON.stringify({ id: randomUUID(), sha256: '0'.repeat(64) })),
      );
  });
  const { code, files } = await push(
    ['--remove', '--try-for', '1', pbx.host.put('a.wav', newCall()) as string],
    {},
    url,
  );
  expect({ code, files }).toMatchObject({
    code: 3,
    files: [{ outcome: 'later', code: 'unexpected_answer' }],
  });
  expect(pbx.host.names()).toEqual(['a.wav']);
});

test('a file that grows while it is sent is not counted and not removed', async () => {
  // More than the system takes before anybody reads it.
  const file = pbx.host.put('a.wav', newCall(1_200)) as string;
  const url = await serverOf((request, answer) => {
    request.once('data', () => {
      writeFileSync(file, 'more', { flag: 'a' });
      request.resume();
    });
    request.on('end', () => answer.writeHead(500).end());
  });
  const { code, files } = await push(['--remove', '--try-for', '0', file], {}, url);
  expect({ code, files }).toEqual({ code: 3, files: [{ outcome: 'changed' }] });
  expect(existsSync(file)).toBe(true);
});

test('a file that is replaced after the vault took it stays', async () => {
  const audio = newCall();
  const file = pbx.host.put('a.wav', audio) as string;
  const url = await serverOf((request, answer) => {
    request.resume().on('end', () => {
      execFileSync('sh', ['-c', 'cp "$1" "$1.tmp" && mv "$1.tmp" "$1"', 'sh', file]);
      answer.writeHead(201).end(JSON.stringify({ id: randomUUID(), sha256: sha256(audio) }));
    });
  });
  const { code, files } = await push(['--remove', '--try-for', '0', file], {}, url);
  expect({ code, files }).toEqual({ code: 3, files: [{ outcome: 'changed' }] });
  expect(readFileSync(file).equals(audio)).toBe(true);
});

test('a vault that is down for a moment is waited for', async () => {
  const audio = newCall();
  let asked = 0;
  const url = await serverOf((request, answer) => {
    asked += 1;
    request.resume().on('end', () => {
      if (asked < 3) answer.writeHead(503, { 'retry-after': '0' }).end();
      else answer.writeHead(201).end(JSON.stringify({ id: randomUUID(), sha256: sha256(audio) }));
    });
  });
  expect(await push(['--remove', pbx.host.put('a.wav', audio) as string], {}, url)).toMatchObject({
    code: 0,
    files: [{ outcome: 'stored', removal: 'removed' }],
  });
  expect(asked).toBe(3);
});

test('ended by a signal while it waits: 3, the file stays', async () => {
  let asked = 0;
  const url = await serverOf((request, answer) => {
    asked += 1;
    request.resume().on('end', () => answer.writeHead(503, { 'retry-after': '600' }).end());
  });
  const file = pbx.host.put('a.wav', newCall()) as string;
  const agent = pbx.host.start([
    'push',
    '--url',
    url,
    '--key-file',
    pbx.host.keyFile,
    '--try-for',
    '1000',
    '--remove',
    file,
  ]);
  await until(() => asked > 0);
  await sleep(200);
  agent.signal('SIGTERM');
  expect(await agent.ended).toMatchObject({ code: 3, err: expect.stringMatching(/signal/) });
  expect(pbx.host.names()).toEqual(['a.wav']);
});

// What is not understood.
test.each([
  ['no file', []],
  ['a number on the command line', ['--field', 'callerNumber=0701740610', 'a.wav']],
  ['a number for a call', ['--call-id', '0701740610', 'a.wav']],
  ['a number behind a name for a call', ['--call-id', 'Anna-070-174 06 10', 'a.wav']],
  ['a number and a channel for a call', ['--call-id', '0701740610-1772349330.42', 'a.wav']],
  ['a number for a queue', ['--field', 'queue=0701740610', 'a.wav']],
  ['an identity number for an agent', ['--field', 'agentId=19121212-1212', 'a.wav']],
  ['a number for a unit', ['--field', 'careUnit=+46 70 174 06 10', 'a.wav']],
  ['a number for a time', ['--field', 'startedAt=0701740610', 'a.wav']],
  ['a direction that is none', ['--field', 'direction=sideways', 'a.wav']],
  ['a field that is none', ['--field', 'colour=red', 'a.wav']],
  ['the same field twice', ['--field', 'queue=a', '--field', 'queue=b', 'a.wav']],
  ['a time that is none', ['--try-for', 'long', 'a.wav']],
  ['a media type that is none', ['--media-type', 'text/html', 'a.wav']],
])('%s: 2', async (_, args) => {
  const { code, out, err } = await pbx.host.run([
    'push',
    '--url',
    pbx.scene.vault.url,
    '--key-file',
    pbx.host.keyFile,
    ...args,
  ]);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/^(?:error|callvault): /);
  // What was typed may be in somebody's log by now, if it is said again.
  expect(err).not.toMatch(/1740610|174 06 10|1212-1212/);
});

test.each([
  ['a variable that nobody knows', { CALLVAULT_CALLERNUMBER: '0701740610' }, /write CALLVAULT_CALLER_NUMBER/],
  [
    'a variable that is no number',
    { CALLVAULT_CALLER_NUMBER: 'notanumber' },
    /CALLVAULT_CALLER_NUMBER is no number/,
  ],
])('%s: 2, before anything is sent', async (_, env, words) => {
  const vault = ['--url', 'http://127.0.0.1:1', '--key-file', pbx.host.keyFile];
  const { code, out, err } = await pbx.host.run(
    ['push', ...vault, pbx.host.put('a.wav', newCall()) as string],
    {
      env,
    },
  );
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(words);
  expect(err).not.toMatch(/0701740610|notanumber/);
});

test('an id of a channel, a UUID and a digest are no numbers', async () => {
  for (const callId of ['1772349330.42', 'pbx01-1772349330.42', randomUUID(), sha256(newCall())])
    expect(await push(['--call-id', callId, pbx.host.put('a.wav', newCall()) as string])).toMatchObject({
      code: 0,
    });
});

test('--try-for holds as well for a vault that takes the connection and says nothing', async () => {
  const url = await serverOf((request) => request.resume());
  const from = performance.now();
  const file = pbx.host.put('a.wav', newCall()) as string;
  expect(await push(['--try-for', '5', file], {}, url)).toMatchObject({
    code: 3,
    files: [{ outcome: 'later', code: 'unreachable' }],
  });
  expect(performance.now() - from).toBeLessThan(20_000);
});

test('and for one that does not even take the connection', async () => {
  // A listener that is stopped: the system takes as many connections as may wait for it, and then no more.
  const script =
    "require('net').createServer().listen({port:0,host:'127.0.0.1',backlog:1},function(){console.log(this.address().port)})";
  const stopped = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(stopped.stdout.setEncoding('utf8'), 'data')) as [string];
  stopped.kill('SIGSTOP');
  const port = Number(line.trim());
  const waiting = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  try {
    await sleep(300);
    const from = performance.now();
    const file = pbx.host.put('a.wav', newCall()) as string;
    expect(await push(['--try-for', '1', file], {}, `http://127.0.0.1:${port}`)).toMatchObject({
      code: 3,
      files: [{ outcome: 'later', code: 'unreachable', reason: expect.stringMatching(/in time/) }],
    });
    expect(performance.now() - from).toBeLessThan(20_000);
  } finally {
    for (const one of waiting) one.destroy();
    stopped.kill('SIGKILL');
  }
});

test('a key file that others can read, none, no vault, a wrong address, or plain text over a network: 2, in one sentence', async () => {
  const file = pbx.host.put('a.wav', newCall()) as string;
  const vault = ['--url', pbx.scene.vault.url];
  chmodSync(pbx.host.keyFile, 0o640);
  for (const args of [
    [...vault, '--key-file', pbx.host.keyFile],
    [...vault, '--key-file', join(pbx.host.home, 'none')],
    vault,
    ['--url', 'http://vault.example.se', '--key-file', pbx.host.keyFile],
    ['--url', 'vault', '--key-file', pbx.host.keyFile],
    ['--key-file', pbx.host.keyFile],
  ])
    for (const command of [
      ['push', file],
      ['watch', pbx.host.spool],
      ['import', pbx.host.spool, '--journal', 'j'],
    ]) {
      const { code, out, err } = await pbx.host.run([...command, ...args]);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toMatch(/^callvault: .+\.\n$/);
    }
});

test.each([
  ['no JSON', '{"callerNumber":"0701740610"'],
  ['nothing', ''],
  ['a field that is none', '{"colour":"0701740610"}'],
  ['too much', `{"queue":"${'0701740610 '.repeat(7_000)}"}`],
])('%s on the standard input: 2, and it is not repeated', async (_, input) => {
  const vault = ['--url', pbx.scene.vault.url, '--key-file', pbx.host.keyFile];
  const { code, out, err } = await pbx.host.run(
    ['push', ...vault, '--metadata-stdin', pbx.host.put('a.wav', newCall()) as string],
    { input },
  );
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/^callvault: .+\.\n$/);
  expect(err).not.toMatch(/0701740610/);
});
