import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

/** The launcher as it is, in a checkout of its own whose command line does what these tests ask for. */
const repository = join(import.meta.dirname, '../..');
const platform = `node-${process.platform}-${process.arch}`;
let checkout: string;
let launcher: string;
/** A Node that takes itself for an old one: the same program under another path, with a preload. */
let pretended: { node: string; flags: string[] };

const COMMAND_LINE = `
import { writeFileSync } from 'node:fs';
const [what, argument] = process.argv.slice(2) as [string, string];
type Said = { version: string; cwd: string; rest: string[] };
if (what === 'say') {
  const said: Said = { version: process.version, cwd: process.cwd(), rest: process.argv.slice(3) };
  process.stdout.write(JSON.stringify(said));
}
if (what === 'exit') process.exitCode = Number(argument);
if (what === 'die') process.kill(process.pid, argument as NodeJS.Signals);
if (what === 'copy') process.stdin.pipe(process.stdout);
if (what === 'serve') {
  const timer = setInterval(() => undefined, 1000);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      writeFileSync(argument + '.closed', signal, { flag: 'a' });
      clearInterval(timer);
      process.exitCode = 7;
    });
  writeFileSync(argument, String(process.pid));
}
`;

beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), 'launcher-'));
  for (const folder of ['bin', 'src/cli', 'node_modules'])
    mkdirSync(join(checkout, folder), { recursive: true });
  launcher = join(checkout, 'bin/callvault.js');
  copyFileSync(join(repository, 'bin/callvault.js'), launcher);
  writeFileSync(join(checkout, 'package.json'), '{"type":"module"}');
  writeFileSync(join(checkout, 'src/cli/main.ts'), COMMAND_LINE);
  symlinkSync(join(repository, 'node_modules', platform), join(checkout, 'node_modules', platform));
  const node = join(checkout, 'old-node');
  copyFileSync(join(repository, 'node_modules', platform, 'bin/node'), node, constants.COPYFILE_FICLONE);
  const preload = join(checkout, 'pretend.mjs');
  writeFileSync(
    preload,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } });
     Object.defineProperty(process, 'version', { value: 'v20.1.0' });`,
  );
  pretended = { node, flags: ['--import', preload] };
});
afterAll(() => rmSync(checkout, { recursive: true }));

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

/** Nodes that cannot run Callvault themselves: the pretended one, and this machine's own when it is one. */
const systemNode = ['/usr/bin/node', '/usr/local/bin/node'].find(
  (node) =>
    existsSync(node) &&
    Number.parseInt(execFileSync(node, ['--version'], { encoding: 'utf8' }).slice(1), 10) < 24,
);
const oldNodes = ['pretended', ...(systemNode === undefined ? [] : [systemNode])];

const start = (which: string, args: readonly string[], { cwd = '/', path = launcher } = {}): ChildProcess => {
  const { node, flags } = which === 'pretended' ? pretended : { node: which, flags: [] };
  const child = spawn(node, [...flags, path, ...args], {
    cwd,
    env: { PATH: '/usr/bin:/bin' },
    stdio: 'pipe',
  });
  started.push(child);
  return child;
};

const finished = async (child: ChildProcess) => {
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on('data', (data: Buffer) => out.push(data));
  child.stderr?.on('data', (data: Buffer) => err.push(data));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
};

const appears = async (file: string): Promise<string> => {
  for (;;) {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    if (text !== '') return text;
    await sleep(20);
  }
};

/** A process that has ended may stay listed until somebody collects it. */
const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

describe.each(oldNodes)('on an old Node (%s)', (which) => {
  test('it runs on the bundled one, with arguments, working folder and output as they are', async () => {
    const { code, out, err } = await finished(start(which, ['say', '--json', 'a b', ''], { cwd: '/tmp' }));
    const said = JSON.parse(out) as { version: string; cwd: string; rest: string[] };
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(Number.parseInt(said.version.slice(1), 10)).toBeGreaterThanOrEqual(24);
    expect(said).toMatchObject({ cwd: '/tmp', rest: ['--json', 'a b', ''] });
  });

  test('through a link from elsewhere too', async () => {
    const link = join(checkout, `link-${oldNodes.indexOf(which)}`);
    symlinkSync(launcher, link);
    expect(await finished(start(which, ['exit', '0'], { path: link }))).toMatchObject({ code: 0, err: '' });
  });

  test.each(['0', '1', '2', '3', '77'])('exit code %s comes through', async (code) => {
    expect(await finished(start(which, ['exit', code]))).toMatchObject({ code: Number(code), signal: null });
  });

  test.each(['SIGTERM', 'SIGKILL', 'SIGABRT'])('death by %s comes through', async (signal) => {
    expect(await finished(start(which, ['die', signal]))).toMatchObject({ code: null, signal });
  });

  test('standard input is the command line\u2019s', async () => {
    const child = start(which, ['copy']);
    child.stdin?.end('from outside');
    expect(await finished(child)).toMatchObject({ code: 0, out: 'from outside' });
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    '%s is passed on once, and the exit waited for',
    async (signal) => {
      const file = join(checkout, `pid-${oldNodes.indexOf(which)}-${signal}`);
      const child = start(which, ['serve', file]);
      const pid = Number(await appears(file));
      child.kill(signal);
      expect(await finished(child)).toMatchObject({ code: 7, signal: null });
      expect(readFileSync(`${file}.closed`, 'utf8')).toBe(signal);
      expect(isAlive(pid)).toBe(false);
    },
  );

  test('killed with SIGKILL, it leaves no orphan: the vault closes in order', async () => {
    const file = join(checkout, `pid-${oldNodes.indexOf(which)}-kill`);
    const child = start(which, ['serve', file]);
    const pid = Number(await appears(file));
    child.kill('SIGKILL');
    expect(await appears(`${file}.closed`)).toBe('SIGTERM');
    while (isAlive(pid)) await sleep(20);
  });

  test('without the bundled Node it says so in one sentence and ends with 3', async () => {
    const bare = join(checkout, `bare-${oldNodes.indexOf(which)}`);
    mkdirSync(join(bare, 'bin'), { recursive: true });
    writeFileSync(join(bare, 'package.json'), '{"type":"module"}');
    copyFileSync(launcher, join(bare, 'bin/callvault.js'));
    // Out of reach of the checkout's own packages.
    const away = mkdtempSync('/tmp/launcher-');
    execFileSync('cp', ['-r', `${bare}/.`, away]);
    const { code, out, err } = await finished(
      start(which, ['say'], { path: join(away, 'bin/callvault.js') }),
    );
    rmSync(away, { recursive: true });
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toMatch(/^callvault: needs Node 24 or newer; this is v\d+\.\d+\.\d+, .*npm ci.*\n$/);
    expect(err.split('\n')).toHaveLength(2);
  });
});

describe('on a Node that is new enough', () => {
  const here = process.execPath;

  test('it runs in place', async () => {
    const { out } = await finished(start(here, ['say']));
    expect(JSON.parse(out)).toMatchObject({ version: process.version });
  });

  test('a release without sources runs its plain JavaScript', async () => {
    const release = mkdtempSync(join(checkout, 'release-'));
    for (const folder of ['bin', 'dist/cli']) mkdirSync(join(release, folder), { recursive: true });
    writeFileSync(join(release, 'package.json'), '{"type":"module"}');
    copyFileSync(launcher, join(release, 'bin/callvault.js'));
    writeFileSync(join(release, 'dist/cli/main.js'), 'process.exitCode = 42;');
    expect(await finished(start(here, [], { path: join(release, 'bin/callvault.js') }))).toMatchObject({
      code: 42,
    });
  });
});
