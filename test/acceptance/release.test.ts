import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { build, endStarted, makeRelease, type Started, start } from '../support/release.ts';

const repository = join(import.meta.dirname, '../..');
let base: string;
let release: string;
let launcher: string;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'cvr-'));
  release = makeRelease(base);
  launcher = join(release, 'bin/callvault.js');
});
afterEach(endStarted);
afterAll(() => rmSync(base, { recursive: true }));

/** The Node of this machine, which may be too old to run Callvault, and the one that comes with it. */
const nodes = [
  ...['/usr/bin/node', '/usr/local/bin/node'].filter((path) => existsSync(path)).slice(0, 1),
  process.execPath,
].map((path) => ({ path, version: execFileSync(path, ['--version'], { encoding: 'utf8' }).trim() }));

/** Sentences for a person, and no trace of where in the program they were made. */
const expectWords = (text: string): void => {
  expect(text).not.toMatch(/^\s+at |node:internal|file:\/\/|\.(js|ts):\d/m);
  expect(text).toMatch(/\S/);
};

/** Where a vault that was started answers; rejects with its words when it ends instead. */
const addressOf = (vault: Started): Promise<string> =>
  new Promise((resolve, reject) => {
    vault.child.stdout?.on('data', () => {
      const address = /Callvault \S+ on (http\S+)/.exec(vault.stdout())?.[1];
      if (address !== undefined && vault.stdout().includes('first admin:')) resolve(address);
    });
    void vault.ended.then(({ err }) => reject(new Error(err)));
  });

const emptyHome = () => {
  const home = mkdtempSync(join(base, 'home-'));
  return { home, env: { DATA_DIR: join(home, 'data'), PORT: '0', FREE_DISK_FLOOR: '0' } };
};

const IMPORT =
  /^(?:import|export)\b[^'";]*?\bfrom ["']([^"']+)|^import ["']([^"']+)|\bimport\(["']([^"']+)/gm;
const importsOf = (text: string): string[] =>
  [...text.matchAll(IMPORT)].map(([, ...found]) => found.find((one) => one !== undefined) as string);

describe('what is in it', () => {
  test('no TypeScript, and no import of any', () => {
    const files = readdirSync(join(release, 'dist'), { recursive: true, encoding: 'utf8' });
    expect(files.filter((name) => name.endsWith('.js')).length).toBeGreaterThan(150);
    expect(files.filter((name) => /\.[^j.]*$/.test(name))).toEqual([]);
    expect(existsSync(join(release, 'src'))).toBe(false);
  });

  test('every package it imports is one that a release installs', () => {
    const { dependencies } = JSON.parse(readFileSync(join(release, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const imported = new Set<string>();
    for (const name of readdirSync(join(release, 'dist'), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.js')) continue;
      const text = readFileSync(join(release, 'dist', name), 'utf8');
      for (const specifier of importsOf(text))
        if (!specifier.startsWith('.') && !isBuiltin(specifier))
          imported.add(/^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] as string);
    }
    expect(imported.size).toBeGreaterThan(15);
    expect([...imported].filter((name) => dependencies[name] === undefined)).toEqual([]);
  });

  test('the build context leaves nothing out that the Dockerfile asks for', () => {
    const asked = [
      ...readFileSync(join(repository, 'Dockerfile'), 'utf8').matchAll(/^COPY (?!--from)(.+) \S+$/gm),
    ]
      .flatMap(([, names]) => (names as string).split(' '))
      .map((name) => name.replace(/^\.\//, ''));
    const ignored = readFileSync(join(repository, '.dockerignore'), 'utf8').split('\n');
    expect(asked.length).toBeGreaterThan(8);
    for (const name of asked) {
      expect(existsSync(join(repository, name)), name).toBe(true);
      expect(ignored).not.toContain(name);
    }
    // Else a client generated on the host from another schema would come along.
    expect(ignored).toContain('src/storage/prisma');
  });
});

describe.each(nodes)('started by $path ($version)', ({ path: node }) => {
  test('--help lists the commands', async () => {
    const { code, out, err } = await start([node, launcher, '--help']).ended;
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const command of ['serve', 'migrate', 'admin-create', 'verify', 'open-key', 'doctor'])
      expect(out).toContain(`  ${command} `);
  });

  test('--version is the release’s', async () => {
    const { version } = JSON.parse(readFileSync(join(release, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await start([node, launcher, '--version']).ended).toEqual({
      code: 0,
      out: `${version}\n`,
      err: '',
    });
  });

  test('a reader that has heard enough is no error', async () => {
    const piped = start(['/bin/sh', '-c', `'${node}' '${launcher}' --help | true`]);
    expect(await piped.ended).toEqual({ code: 0, out: '', err: '' });
  });

  test('it serves, makes an administrator beside it, and closes in order', async () => {
    const { env } = emptyHome();
    const vault = start([node, launcher, 'serve'], { env });
    const url = await addressOf(vault);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const who = ['--organisation', 'Region R', '--email', 'a@example.org', '--json'];
    const made = await start([node, launcher, 'admin-create', ...who], { env }).ended;
    expect(made).toMatchObject({ code: 0 });
    const { email, password } = JSON.parse(made.out) as { email: string; password: string };
    const login = await fetch(`${url}/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password }),
    });
    expect(login.status).toBe(200);
    await login.body?.cancel();
    vault.child.kill('SIGTERM');
    expect(await vault.ended).toMatchObject({ code: 0, err: '' });
  });
});

describe.each(nodes)('misused, by $path ($version)', ({ path: node }) => {
  test.each([
    ['a typo', ['srve'], /serve/],
    ['an unknown command', ['eavesdrop'], /unknown command 'eavesdrop'/],
    ['no command', [], /Usage: callvault/],
    ['an unknown option', ['verify', '--jsno'], /unknown option '--jsno'/],
    ['a missing option', ['admin-create'], /--email/],
    ['a missing argument', ['open-key'], /recording/],
    ['one argument too many', ['doctor', 'now'], /too many arguments/],
  ])('%s is answered with a sentence and 2', async (_what, args, said) => {
    const { code, out, err } = await start([node, launcher, ...args]).ended;
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(said);
    expectWords(err);
  });

  test('a data folder that may not be made is answered with a sentence and 3', async () => {
    const { home, env } = emptyHome();
    chmodSync(home, 0o500);
    // Root passes every lock unless it gives that right away.
    const wrapper =
      process.getuid?.() === 0 ? ['/usr/bin/setpriv', '--bounding-set=-dac_override', '--'] : [];
    const { code, out, err } = await start([node, launcher, 'serve'], { env, wrapper }).ended;
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toContain(`${env.DATA_DIR} cannot be made`);
    expectWords(err);
    chmodSync(home, 0o700);
  });

  test('faults of the configuration come all at once, with 3', async () => {
    const { env } = emptyHome();
    const { code, out, err } = await start([node, launcher, 'serve'], {
      env: { ...env, PORT: '80a', LOG_LEVEL: 'loud', HOST: '0.0.0.0' },
    }).ended;
    expect({ code, out }).toEqual({ code: 3, out: '' });
    for (const fault of ['3 faults', '  PORT must', '  LOG_LEVEL must', '  HOST is 0.0.0.0'])
      expect(err).toContain(fault);
    expectWords(err);
  });
});

describe('sources and releases', () => {
  const tree = (files: Readonly<Record<string, string>>): string => {
    const folder = mkdtempSync(join(base, 'tree-'));
    cpSync(join(release, 'bin'), join(folder, 'bin'), { recursive: true });
    for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
      mkdirSync(join(folder, name, '..'), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    return join(folder, 'bin/callvault.js');
  };
  const run = (path: string, env: NodeJS.ProcessEnv = {}) => start([process.execPath, path], { env }).ended;

  test('a checkout with a build runs its sources, in production too', async () => {
    const path = tree({
      'src/cli/main.ts': 'process.exitCode = 41 as number;',
      'dist/cli/main.js': 'process.exitCode = 42;',
    });
    expect(await run(path)).toMatchObject({ code: 41 });
    expect(await run(path, { NODE_ENV: 'production' })).toMatchObject({ code: 41 });
  });

  test('neither of them: says how to make one', async () => {
    const { code, out, err } = await run(tree({}));
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toMatch(/^callvault: there is no program: run "npm ci && npm run build" in \S+\.\n$/);
  });

  test('packages that are not installed: says how to install them', async () => {
    const { code, out, err } = await run(
      tree({ 'dist/cli/main.js': "import 'commander-that-is-not-there';" }),
    );
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toMatch(/^callvault: a part of it is missing: run "npm ci" in \S+\.\n$/);
  });

  test('a build replaces an earlier one whole, and nothing else', () => {
    const folder = mkdtempSync(join(base, 'build-'));
    writeFileSync(join(folder, 'mine'), '');
    expect(() => build(folder)).toThrow(/is no earlier build/);
    expect(readdirSync(folder)).toEqual(['mine']);
    const dist = join(folder, 'dist');
    build(dist);
    writeFileSync(join(dist, 'stale.js'), '');
    build(dist);
    expect(existsSync(join(dist, 'stale.js'))).toBe(false);
    expect(existsSync(join(dist, 'cli/main.js'))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['dist', 'mine']);
  });
});
