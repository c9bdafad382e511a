import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Agent } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { build } from '../support/release.ts';
import { end, ofKind, sha256, watchesFolder } from '../support/watch-folder.ts';

/**
 * A recorder that keeps its folder's user, and a right that the agent has not, as Asterisk does (setpriv; for root alone): it
 * opens its file, writes a header, and for a while nothing. It is the kernel that does not let the agent look.
 */
const pbx = watchesFolder();
const USER = 61_234;
/** Writes a header, and the rest of its call when it is told to. */
const RECORDER = `
const { openSync, readFileSync, writeSync, closeSync } = require('node:fs');
const call = readFileSync(0);
const waiting = setInterval(() => undefined, 60_000);
process.once('SIGUSR2', () => { writeSync(fd, call.subarray(44)); closeSync(fd); clearInterval(waiting); });
const fd = openSync(process.argv[1], 'w');
writeSync(fd, call.subarray(0, 44));
`;
const rights = (name: string): string[] => [`--inh-caps=+${name}`, `--ambient-caps=+${name}`];
/** Programs that everybody may run: the checkout may lie where its owner alone gets in. */
let programs: string;
let recorder: ChildProcess | null = null;
beforeAll(() => {
  programs = mkdtempSync(join(tmpdir(), 'cvn-'));
  chmodSync(programs, 0o755);
  copyFileSync(process.execPath, join(programs, 'node'));
  build(join(programs, 'dist'));
});
afterAll(() => rmSync(programs, { recursive: true, force: true }));
afterEach(async () => {
  if (recorder === null || recorder.exitCode !== null || recorder.signalCode !== null) return;
  recorder.kill('SIGKILL');
  await once(recorder, 'close');
});

const asUser = (more: readonly string[]): string[] => [
  ...['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', ...more, '--'],
  join(programs, 'node'),
];
const asRoot = (): string[] => [join(programs, 'node')];
const agentBy = (program: readonly string[]): string[] => [
  ...program,
  join(programs, 'dist/callvault-agent.js'),
];
const own = (...paths: readonly string[]): void => {
  for (const path of paths) chownSync(path, USER, USER);
};

/** Starts a recorder; resolves to the path of its file when the header is written. */
const record = async (call: Buffer, more: readonly string[]): Promise<string> => {
  own(pbx.host.home, pbx.host.spool, pbx.host.keyFile);
  const path = join(pbx.host.spool, 'a.wav');
  const [program = '', ...args] = asUser(more);
  recorder = spawn(program, [...args, '-e', RECORDER, path], { stdio: ['pipe', 'ignore', 'inherit'] });
  recorder.stdin?.end(call);
  await until(() => existsSync(path) && statSync(path).size === 44);
  return path;
};

const expectTaken = async (agent: Agent, path: string, call: Buffer): Promise<void> => {
  recorder?.kill('SIGUSR2');
  await until(() => !existsSync(path));
  await end(agent);
  expect(ofKind(agent, 'stored').map((event) => event.sha256)).toContain(sha256(call));
};

test('a recorder with a right that the agent has not: its silence is no end, and it is said that it is not seen', async () => {
  const call = pbx.newCall(5);
  const path = await record(call, rights('net_admin'));
  const agent = pbx.watch(['--unseen-rest', '1'], undefined, { program: agentBy(asUser([])) });
  await until(() => ofKind(agent, 'unseen').length > 0);
  await sleep(3_000);
  expect([existsSync(path), ofKind(agent, 'stored'), ofKind(agent, 'unseen').length]).toEqual([true, [], 1]);
  await expectTaken(agent, path, call);
  expect(ofKind(agent, 'stored')).toHaveLength(1);
});

test.each([
  ['of the same user, without more rights', [], () => asUser([])],
  ['with more rights, before root', rights('net_admin'), asRoot],
  [
    'with more rights, before one who may look into all',
    rights('net_admin'),
    () => asUser(rights('sys_ptrace')),
  ],
])('a recorder %s is seen, and its recording goes as soon as it has ended', async (_, theirs, program) => {
  const call = pbx.newCall(5);
  const path = await record(call, theirs);
  if (program === asRoot) chownSync(pbx.host.keyFile, 0, 0);
  const other = pbx.host.put('b.wav', pbx.newCall()) as string;
  own(other);
  const agent = pbx.watch(['--unseen-rest', '600'], undefined, { program: agentBy(program()) });
  await until(() => !existsSync(other));
  await sleep(1_000);
  expect([existsSync(path), ofKind(agent, 'stored').length]).toEqual([true, 1]);
  await expectTaken(agent, path, call);
  expect(ofKind(agent, 'unseen')).toEqual([]);
});
