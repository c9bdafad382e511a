import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { demo, endDemos } from '../support/demo.ts';

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

test.each([
  [['--port', 'eighty'], 3],
  [['--no-such-option'], 2],
])('%j: ends with %i and a sentence, not a stack', async (args, expected) => {
  const { code, stdout, stderr } = await demo('--data-dir', join(home, 'bad/data'), ...args).ended;
  expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(stderr.length).toBeGreaterThan(10);
});
