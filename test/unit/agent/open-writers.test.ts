import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lookAround } from '../../../src/agent/open-writers.ts';

/** Processes as Linux tells of them, in a folder made for the test. */
let home: string;
let proc: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'cvw-'));
  proc = join(home, 'proc');
  mkdirSync(proc);
  writeFileSync(join(home, 'call.wav'), 'x');
});
afterEach(() => rmSync(home, { recursive: true }));

const WRITES = 'pos:\t0\nflags:\t0100001\nmnt_id:\t30\n';
const READS = 'pos:\t0\nflags:\t0100000\nmnt_id:\t30\n';
const users = (...ids: readonly number[]): string => `Name:\tx\nUid:\t${ids.join('\t')}\nGid:\t0\t0\t0\t0\n`;

/** A process; `fds` null: it may not be looked into. */
const process = (
  pid: string,
  fds: Readonly<Record<string, [path: string, info: string]>> | null,
  status = users(0, 0, 0, 0),
) => {
  const folder = join(proc, pid);
  mkdirSync(join(folder, 'fdinfo'), { recursive: true });
  if (status !== '') writeFileSync(join(folder, 'status'), status);
  // What is no folder cannot be read as one, whoever asks.
  if (fds === null) return writeFileSync(join(folder, 'fd'), '');
  mkdirSync(join(folder, 'fd'));
  for (const [fd, [path, info]] of Object.entries(fds)) {
    symlinkSync(path, join(folder, 'fd', fd));
    writeFileSync(join(folder, 'fdinfo', fd), info);
  }
};
const file = (name = 'call.wav') => {
  const path = join(home, name);
  return { path: Buffer.from(path), stat: lstatSync(path, { bigint: true }) };
};
const OWN = userInfo().uid;

test('who has it open for writing is seen, who reads it or writes another of its name is not', async () => {
  process('1', {});
  mkdirSync(join(home, 'other'));
  writeFileSync(join(home, 'other', 'call.wav'), 'x');
  process('7', { 0: ['/dev/null', WRITES], 1: ['pipe:[7]', WRITES], 2: [join(home, 'call.wav'), READS] });
  process('8', { 3: [join(home, 'other', 'call.wav'), WRITES] });
  expect(await (await lookAround(proc)).isWritten(file())).toBe(false);
  expect(await (await lookAround(proc)).isWritten(file('other/call.wav'))).toBe(true);
  process('9', { 4: [join(home, 'call.wav'), 'flags:\t0100002\n'] });
  expect(await (await lookAround(proc)).isWritten(file())).toBe(true);
});

test('a writer with other mounts, who knows the folder by another path, is seen by the file itself', async () => {
  process('1', {});
  mkdirSync(join(home, 'mounted'));
  linkSync(join(home, 'call.wav'), join(home, 'mounted', 'call.wav'));
  process('9', { 4: [join(home, 'mounted', 'call.wav'), WRITES] });
  expect(await (await lookAround(proc)).isWritten(file())).toBe(true);
});

test('everybody seen: nobody else may write it', async () => {
  process('1', {});
  const sight = await lookAround(proc);
  expect(await sight.isWritten(file())).toBe(false);
  expect(await sight.mayBeWritten(file())).toBe(false);
});

test.each([
  ['real', [OWN, 1_001, 1_001, 1_001]],
  ['effective', [1_001, OWN, 1_001, 1_001]],
  ['saved', [1_001, 1_001, OWN, 1_001]],
  ['of files', [1_001, 1_001, 1_001, OWN]],
])('a process that may not be looked into, whose user (%s) owns the file, might write it', async (_, ids) => {
  process('1', {});
  process('9', null, users(...ids));
  expect(await (await lookAround(proc)).mayBeWritten(file())).toBe(true);
});

test('one of another user than the owner of the file might not', async () => {
  process('1', {});
  process('9', null, users(1_001, 1_001, 1_001, 1_001));
  expect(await (await lookAround(proc)).mayBeWritten(file())).toBe(false);
});

test('where even the user cannot be read, or processes are hidden, or there is no such folder, anybody might', async () => {
  process('9', {});
  expect(await (await lookAround(proc)).mayBeWritten(file())).toBe(true);
  process('1', {});
  expect(await (await lookAround(proc)).mayBeWritten(file())).toBe(false);
  process('10', null, 'Name:\tx\n');
  expect(await (await lookAround(proc)).mayBeWritten(file())).toBe(true);
  expect(await (await lookAround(join(home, 'none'))).mayBeWritten(file())).toBe(true);
});

test('a process that has ended, and whose end nobody asked for yet, writes nothing', async () => {
  process('1', {});
  process('9', null, `State:\tZ (zombie)\n${users(OWN, OWN, OWN, OWN)}`);
  expect(await (await lookAround(proc)).mayBeWritten(file())).toBe(false);
  process('10', null, `State:\tS (sleeping)\n${users(OWN, OWN, OWN, OWN)}`);
  expect(await (await lookAround(proc)).mayBeWritten(file())).toBe(true);
});

test('a process that ends meanwhile is no reason to wait', async () => {
  process('1', {});
  mkdirSync(join(proc, '9'));
  process('10', { 3: [join(home, 'gone'), WRITES] });
  chmodSync(join(home, 'call.wav'), 0o600);
  const sight = await lookAround(proc);
  expect(await sight.isWritten(file())).toBe(false);
  expect(await sight.mayBeWritten(file())).toBe(false);
});
