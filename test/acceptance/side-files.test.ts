import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../support/child.ts';
import { pbxBesideVault } from '../support/pbx-beside-vault.ts';

/** Side files of every kind, as `callvault watch` and `push` take them along. */
const pbx = pbxBesideVault();
const { newCall } = pbx;

const argsOf = (command: string, args: readonly string[]): string[] => [
  ...[command, ...args, '--url', pbx.scene.vault.url, '--key-file', pbx.host.keyFile, '--json'],
];
type Event = Record<string, unknown> & { readonly event: string };
const once = async (...args: readonly string[]) => {
  const pace = ['--interval', '0.2', '--longest-pause', '0.5', '--unseen-rest', '0', '--once'];
  const { code, out, err } = await pbx.host.run(argsOf('watch', [pbx.host.spool, ...pace, ...args]));
  const events = out
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event);
  return { code, events, said: out + err };
};
const siprecWith = (callId: string): string =>
  readFileSync(new URL('../fixtures/siprec/ribbon.xml', import.meta.url), 'utf8').replace(
    /<callid>.*<\/callid>/,
    `<callid>${callId}</callid>`,
  );

const NUMBER = '0701740696';
test.each<readonly [string, (callId: string) => string]>([
  ['call.wav.json', (callId) => JSON.stringify({ callId, callerNumber: NUMBER })],
  ['call.wav.xml', (callId) => `<c><callId>${callId}</callId><callerNumber>${NUMBER}</callerNumber></c>`],
  ['call.wav.csv', (callId) => `callId;callerNumber\r\n${callId};"${NUMBER}"\r\n`],
  ['call.json', (callId) => JSON.stringify({ callId, callerNumber: NUMBER })],
  [
    'call.xml',
    (callId) => siprecWith(callId).replace('0701740607@192.0.2.55&gt;', `${NUMBER}@192.0.2.55&gt;`),
  ],
  ['call.csv', (callId) => `callId,callerNumber\n${callId},${NUMBER}\n`],
  ['call.wav.XML', (callId) => `<c><callId>${callId}</callId><callerNumber>${NUMBER}</callerNumber></c>`],
  ['call.CSV', (callId) => `callId,callerNumber\n${callId},${NUMBER}\n`],
])('%s says who called, and goes along', async (name, textOf) => {
  const callId = randomUUID();
  pbx.host.put('call.wav', newCall());
  pbx.host.put(name, textOf(callId));
  const { code, events, said } = await once('--with-side-file');
  expect(code).toBe(0);
  expect(events).toContainEqual(expect.objectContaining({ event: 'stored', removal: 'removed' }));
  expect(said).not.toContain(NUMBER);
  expect(pbx.host.names()).toEqual([]);
  expect(await pbx.recordingsOf<Record<string, unknown>>({ callId, callerNumber: NUMBER })).toHaveLength(1);
});

const LAUGHS = `<!DOCTYPE l [<!ENTITY a "${NUMBER}"><!ENTITY b "&a;&a;&a;">]><c><callId>&b;</callId></c>`;
test.each<readonly [string, string, (path: string) => void]>([
  ['a billion laughs', 'a.wav.xml', (path) => writeFileSync(path, LAUGHS)],
  ['an external entity', 'a.xml', (path) => writeFileSync(path, '<!DOCTYPE c SYSTEM "/etc/passwd"><c/>')],
  [
    'a hundred megabytes',
    'a.wav.xml',
    (path) => {
      writeFileSync(path, '<c>');
      truncateSync(path, 100_000_000);
    },
  ],
  [
    'another encoding than it says',
    'a.xml',
    (path) => writeFileSync(path, Buffer.from('<c>\xe5</c>', 'latin1')),
  ],
  ['two rows', 'a.wav.csv', (path) => writeFileSync(path, `callId\na\n${NUMBER}\n`)],
  ['a quotation mark left open', 'a.csv', (path) => writeFileSync(path, `callId\n"${NUMBER}\n`)],
  ['a field nobody knows', 'a.json', (path) => writeFileSync(path, `{"x${NUMBER}":"1"}`)],
  ['a link', 'a.xml', (path) => symlinkSync('/etc/passwd', path)],
  ['a link to nothing', 'a.wav.json', (path) => symlinkSync('nowhere', path)],
  ['a FIFO', 'a.wav.xml', (path) => execFileSync('mkfifo', [path])],
  ['a folder', 'a.csv', (path) => mkdirSync(path)],
])(
  'a side file that is %s: the recording stays, refused, and never goes without it',
  async (_, name, make) => {
    pbx.host.put('a.wav', newCall());
    make(join(pbx.host.spool, name));
    const { code, events, said } = await once();
    expect(code).toBe(1);
    expect(events[0]).toMatchObject({ event: 'refused', code: 'not_acceptable_metadata' });
    expect(events.some(({ event }) => event === 'stored')).toBe(false);
    expect(said).not.toMatch(/0701740696|passwd/);
    expect(pbx.host.names()).toEqual(['a.wav', name].toSorted());
  },
);

test('two side files of one recording: which is right is not for the agent to say', async () => {
  pbx.host.put('a.wav', newCall());
  pbx.host.put('a.wav.json', '{"queue":"one"}');
  pbx.host.put('a.csv', 'queue\ntwo\n');
  const { code, events } = await once();
  expect(code).toBe(1);
  expect(events[0]).toMatchObject({ event: 'refused', reason: expect.stringContaining('more than one') });
});

test('a link that has become a side file: the refusal is of what was there before', async () => {
  const callId = randomUUID();
  pbx.host.put('a.wav', newCall());
  symlinkSync('/etc/passwd', join(pbx.host.spool, 'a.xml'));
  const running = pbx.host.start(
    argsOf('watch', [pbx.host.spool, '--interval', '0.2', '--unseen-rest', '0']),
  );
  const seen = (event: string) => until(() => running.events().some((one) => one.event === event));
  await seen('refused');
  rmSync(join(pbx.host.spool, 'a.xml'));
  pbx.host.put('a.xml', siprecWith(callId));
  await seen('stored');
  running.signal('SIGTERM');
  await running.ended;
  expect(await pbx.recordingsOf<Record<string, unknown>>({ callId })).toHaveLength(1);
});

test('one side file by the stem of two recordings goes with the last of them', async () => {
  const callId = randomUUID();
  pbx.host.put('call.wav', newCall());
  pbx.host.put('call.MP3', newCall());
  pbx.host.put('call.csv', `callId\n${callId}\n`);
  const first = await pbx.host.run(argsOf('push', ['--remove', join(pbx.host.spool, 'call.wav')]));
  expect(first.code).toBe(0);
  expect(pbx.host.names()).toEqual(['call.MP3', 'call.csv']);
  const second = await pbx.host.run(argsOf('push', ['--remove', join(pbx.host.spool, 'call.MP3')]));
  expect(second.code).toBe(0);
  expect(pbx.host.names()).toEqual([]);
  expect(await pbx.recordingsOf<Record<string, unknown>>({ callId })).toHaveLength(2);
});

test('--side-field: their names for our fields; --all takes no side file for a recording', async () => {
  const callId = randomUUID();
  pbx.host.put('call.wav', newCall());
  pbx.host.put('call.xml', `<r><ucid>${callId}</ucid><ani>${NUMBER}</ani><skill>1</skill></r>`);
  const { code } = await once('--all', '--side-field', 'ucid=callId', '--side-field', 'ani=callerNumber');
  expect(code).toBe(0);
  expect(pbx.host.names()).toEqual([]);
  expect(await pbx.recordingsOf<Record<string, unknown>>({ callId, callerNumber: NUMBER })).toHaveLength(1);
  const wrong = await pbx.host.run(
    argsOf('watch', [pbx.host.spool, '--once', '--side-field', `${NUMBER}=caller`]),
  );
  expect(wrong.code).toBe(2);
  expect(existsSync(join(pbx.host.spool, 'call.wav'))).toBe(false);
});
