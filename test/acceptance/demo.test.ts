import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { demo, type Ended, endDemos } from '../support/demo.ts';
import { bareEnvironment } from '../support/vault.ts';

/** The demo in a folder of its own, as the only program. */
const runDemo = (cwd: string, ...args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const script = join(import.meta.dirname, '../../src/cli/demo.ts');
    execFile(process.execPath, [script, ...args], { cwd, env: bareEnvironment() }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });

/** `npm run demo`; what the README does with it is in readme.host.test.ts. */
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cvd-'));
});
afterEach(endDemos);
afterAll(() => rm(home, { recursive: true, force: true }));

test('--json --exit prints one line with everything a test needs, and ends with 0', async () => {
  const data = join(home, 'short/data');
  const { code, stdout } = await demo('--data-dir', data, '--json', '--exit').ended;
  expect(code).toBe(0);
  expect(stdout.split('\n')).toEqual([expect.stringMatching(/^\{.*\}$/), '']);
  const account = {
    email: expect.stringMatching(/^[^@]+@[^@]+$/),
    password: expect.stringMatching(/.{16,}/),
  };
  expect(JSON.parse(stdout)).toEqual({
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    accounts: { admin: account, nurse: account, nurse2: account, compliance: account },
    source: {
      apiKey: expect.stringMatching(/^cv_key_/),
      clientId: expect.stringMatching(UUID),
      clientSecret: expect.stringMatching(/^cv_sec_/),
    },
    organisation: { id: expect.stringMatching(UUID), name: 'Region Demo' },
    careUnits: [
      { id: expect.stringMatching(UUID), name: expect.any(String) },
      { id: expect.stringMatching(UUID), name: expect.any(String) },
    ],
  });
  expect((await readdir(join(home, 'short'))).sort()).toEqual(['data', 'data.keys']);
});

test('a second time on the same folder it makes an organisation of its own', async () => {
  const data = join(home, 'short/data');
  const { code, stdout } = await demo('--data-dir', data, '--json', '--exit').ended;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    organisation: { name: expect.stringMatching(/^Region Demo .+/) },
  });
});

test('--keys-dir: the keys lie there and nowhere else, and the same vault opens with them again', async () => {
  const data = join(home, 'apart/data');
  const keys = join(home, 'safe/keys');
  const apart = ['--data-dir', data, '--keys-dir', keys, '--json', '--exit'];
  expect(await demo(...apart).ended).toMatchObject({ code: 0 });
  expect((await readdir(keys)).sort()).toEqual(['keyring', 'root.key']);
  expect((await stat(keys)).mode & 0o777).toBe(0o700);
  expect((await stat(join(keys, 'root.key'))).mode & 0o777).toBe(0o400);
  expect(await readdir(join(home, 'apart'))).toEqual(['data']);
  expect(await readdir(data, { recursive: true })).not.toContain('root.key');
  // Without them it makes no new ones: it says that these are missing.
  const without = await demo('--data-dir', data, '--json', '--exit').ended;
  expect({ code: without.code, stdout: without.stdout }).toEqual({ code: 3, stdout: '' });
  expect(await demo(...apart).ended).toMatchObject({ code: 0 });
});

test('a port in use: it says which, and what to add to the command', async () => {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  );
  const { code, stderr } = await runDemo(home, '--port', String(port), '--data-dir', join(home, 'busy/data'));
  await new Promise((resolve) => server.close(resolve));
  expect(code).toBe(3);
  expect(stderr).toContain(
    `Port ${port} on 127.0.0.1 is in use: name another, such as npm run demo -- --port`,
  );
  expect(stderr).not.toContain('set PORT');
});

test('a port in use: the command that it advises works, with nothing removed before', async () => {
  const cwd = await mkdtemp(join(home, 'port-'));
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  );
  const first = await runDemo(cwd, '--port', String(port), '--json', '--exit');
  await new Promise((resolve) => server.close(resolve));
  expect(first).toMatchObject({ code: 3, stderr: expect.stringContaining('name another') });
  expect(await runDemo(cwd, '--port', '0', '--json', '--exit')).toMatchObject({ code: 0 });
});

test('in a folder with a vault that is no demo it adds nothing, unless that folder is named', async () => {
  const cwd = await mkdtemp(join(home, 'used-'));
  await mkdir(join(cwd, 'data/postgres'), { recursive: true, mode: 0o700 });
  const { code, stdout, stderr } = await runDemo(cwd, '--port', '0', '--json', '--exit');
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
  expect(stderr).toMatch(/holds a vault that no demo has made.*--data-dir/);
  expect(await readdir(cwd, { recursive: true })).toEqual(['data', 'data/postgres']);
});

test.each([
  [['--port', 'eighty'], 2],
  [['--port', '65536'], 2],
  [['--no-such-option'], 2],
])('%j: ends with %i and a sentence, not a stack', async (args, expected) => {
  const { code, stdout, stderr } = await demo('--data-dir', join(home, 'bad/data'), ...args).ended;
  expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(stderr.length).toBeGreaterThan(10);
});
