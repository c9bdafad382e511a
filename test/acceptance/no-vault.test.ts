import { mkdir, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';

/** Commands where there is no vault, and commands that nobody can mean. */
let folder: VaultFolder;
beforeAll(async () => {
  folder = await newVaultFolder();
});
afterAll(() => folder?.remove());

const ID = '6e1f0d0c-6d3b-4c6e-9d52-0f5f3c1d2b3a';
const everything = () => readdir(folder.home, { recursive: true });

test.each([
  [['verify']],
  [['verify', '--json']],
  [['doctor']],
  [['open-key', ID]],
  [['export-keys']],
  [['export-keys', 'bundles']],
  [['log-key']],
])('callvault %j in a folder without a vault says so, ends with 3 and makes nothing', async (args) => {
  const { code, stdout, stderr } = await folder.cli(...args);
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
  expect(stderr).toContain(`There is no vault in ${folder.dataDir}: set DATA_DIR`);
  expect(await everything()).toEqual([]);
});

test('an empty data folder is no vault either', async () => {
  await mkdir(folder.dataDir, { mode: 0o700 });
  expect(await folder.cli('verify')).toMatchObject({ code: 3, stdout: '' });
  expect(await everything()).toEqual(['data']);
});

test.each([
  [['admin-create', '--email', 'nonsense'], /--email.*not an e-mail address/],
  [['admin-create', '--email', 'a@b.example', '--organisation='], /--organisation.*neither empty/],
  [['admin-create', '--email', 'a@b.example', '--name', ' '], /--name.*neither empty/],
  [['admin-create', '--email', 'a@b.example', '--email', 'c@d.example'], /--email.*given twice/],
  [['verify', '--json', '--json'], /--json.*given twice/],
  [['open-key', 'nonsense'], /recording.*a UUID/],
  [['open-key', '../../etc/passwd'], /recording.*a UUID/],
  [['no-such-command'], /no-such-command/],
] as const)('callvault %j is not understood: 2, and a sentence about it', async (args, said) => {
  const before = await everything();
  const { code, stdout, stderr } = await folder.cli(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(said);
  expect(stderr).not.toContain('body/');
  expect(await everything()).toEqual(before);
});

test('a data folder where the kernel shows itself is refused at once', async () => {
  const error = await folder.start({ DATA_DIR: '/proc/x' }).then(
    () => new Error('it started'),
    (reason: Error) => reason,
  );
  expect(error.message).toMatch(/ended with 3/);
  expect(error.message).toMatch(/DATA_DIR lies in a file system of the kernel \(\/proc\/x\)/);
});

test('a database that is not there: where it should be, and never its password', async () => {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  );
  await new Promise((resolve) => server.close(resolve));
  const password = '9f86d081884c7d659a2feaa0c55ad015';
  const url = `postgresql://app:${password}@127.0.0.1:${port}/vault`;
  const env = { DATABASE_URL: url, DATA_DIR: join(folder.home, 'other') };
  const error = await folder.start(env).then(
    () => new Error('it started'),
    (reason: Error) => reason,
  );
  expect(error.message).toContain(`The database vault at 127.0.0.1:${port} cannot be reached (ECONNREFUSED)`);
  expect(error.message).not.toContain(password);
});
