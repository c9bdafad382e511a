import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bareEnvironment } from '../support/vault.ts';

/** A checkout as it is before "npm ci": what is in the repository, and nothing that npm makes. */
const repository = join(import.meta.dirname, '../..');
const GENERATED = join(repository, 'src/storage/prisma');
let checkout: string;

beforeEach(async () => {
  checkout = await realpath(await mkdtemp(join(tmpdir(), 'not-installed-')));
  for (const name of ['package.json', 'bin', 'src'])
    await cp(join(repository, name), join(checkout, name), {
      recursive: true,
      filter: (path) => path !== GENERATED,
    });
});
afterEach(() => rm(checkout, { recursive: true }));

/** What npm does for `npm run name`: the script's own words, in the folder of package.json. */
const npmRun = async (name: string, flags: readonly string[] = [], ...args: readonly string[]) => {
  const { scripts } = (await import(join(repository, 'package.json'), { with: { type: 'json' } }))
    .default as {
    scripts: Readonly<Record<string, string>>;
  };
  const [node, ...words] = (scripts[name] as string).split(' ');
  expect(node).toBe('node');
  const env = { ...bareEnvironment(), PORT: '0' };
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(
      process.execPath,
      [...flags, ...words, ...args],
      { cwd: checkout, env, timeout: 60_000 },
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
};

const missing = () => ({
  code: 3,
  stdout: '',
  stderr: `callvault: a part of it is missing: run "npm ci" in ${checkout}.\n`,
});

test.each(['start', 'demo'])('npm run %s without "npm ci": one sentence and no stack', async (name) => {
  expect(await npmRun(name)).toEqual(missing());
});

test.each(['start', 'demo'])('npm run %s with packages and no generated client', async (name) => {
  await symlink(join(repository, 'node_modules'), join(checkout, 'node_modules'));
  expect(await npmRun(name)).toEqual(missing());
});

test.each(['start', 'demo'])('npm run %s with a generated client and no packages', async (name) => {
  await mkdir(join(checkout, 'src/storage/prisma'), { recursive: true });
  await cp(GENERATED, join(checkout, 'src/storage/prisma'), { recursive: true });
  expect(await npmRun(name)).toEqual(missing());
});

test.each(['start', 'demo'])('npm run %s on an old Node', async (name) => {
  const preload = join(checkout, 'pretend.cjs');
  await writeFile(
    preload,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } });
     Object.defineProperty(process, 'version', { value: 'v20.1.0' });`,
  );
  const { code, stderr } = await npmRun(name, ['--require', preload]);
  expect({ code, stderr }).toEqual({
    code: 3,
    stderr: expect.stringMatching(
      /^callvault: needs Node 24 or newer; this is v20\.1\.0\. Run "npm ci" in .*\n$/,
    ),
  });
});

test('with everything there, it is the program that answers, with its own arguments', async () => {
  await symlink(join(repository, 'node_modules'), join(checkout, 'node_modules'));
  await cp(GENERATED, join(checkout, 'src/storage/prisma'), { recursive: true });
  const { code, stderr } = await npmRun('start', [], '--port');
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/^callvault: npm start takes no arguments/),
  });
});
