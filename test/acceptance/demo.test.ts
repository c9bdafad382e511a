import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createHttpClient } from '../support/http-client.ts';
import { bareEnvironment } from '../support/vault.ts';

/** `npm run demo` and what the README does with it. */
const ROOT = join(import.meta.dirname, '../..');
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cvd-'));
  await symlink(join(ROOT, 'fixtures'), join(home, 'fixtures'));
});
afterEach(async () => {
  for (const interrupt of unfinished) await interrupt();
});
afterAll(() => rm(home, { recursive: true, force: true }));

type Account = { readonly email: string; readonly password: string };
type Contract = {
  readonly url: string;
  readonly accounts: Record<'admin' | 'nurse' | 'nurse2' | 'compliance', Account>;
  readonly source: { readonly apiKey: string };
};

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Demos that a failed test left running. */
const unfinished = new Set<() => Promise<Ended>>();

const demo = (...args: string[]) => {
  const child = spawn('npm', ['run', '--silent', 'demo', '--', '--port', '0', ...args], {
    cwd: ROOT,
    env: bareEnvironment(),
    detached: true,
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, ...said })));
  const line = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      if (said.stdout.includes('\n')) resolve(said.stdout);
    });
    void ended.then(({ stderr }) => reject(new Error(`the demo ended before it was ready: ${stderr}`)));
  });
  line.catch(() => undefined);
  /** To the whole group, as the terminal does with Ctrl-C. */
  const interrupt = (): Promise<Ended> => {
    process.kill(-(child.pid as number), 'SIGINT');
    return ended;
  };
  unfinished.add(interrupt);
  void ended.then(() => unfinished.delete(interrupt));
  return { ended, line, interrupt };
};

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

/** The commands of the README’s chapter, with the values a person copies from the demo’s output. */
const readmeCommands = async (): Promise<string> => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const chapter = /^## By hand, with curl\n(.*?)^## /ms.exec(readme)?.[1] ?? '';
  const blocks = [...chapter.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block);
  return blocks.join('echo\necho ====\n').replace(/^(?=\S*=…|URL=).*$/gm, '');
};

const bash = (script: string, env: NodeJS.ProcessEnv): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', script],
      { cwd: home, env },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });

/** The row of the README’s table that a command after a call is made of. */
const afterCall = async (): Promise<string> => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const row = /\| `(curl -f -T .*?)` \|/.exec(readme)?.[1] ?? '';
  const filled = row
    .replace('call.wav', 'fixtures/rash.wav')
    .replace('X-Call-Id: …', 'X-Call-Id: from-the-row')
    .replace('X-Call-Caller-Number: …', 'X-Call-Caller-Number: 070-174 06 09');
  return `uuidgen() { cat /proc/sys/kernel/random/uuid; }\necho\necho ====\n${filled}`;
};

test('the README’s commands work as they stand, one after the other, until Ctrl-C', async () => {
  const running = demo('--data-dir', join(home, 'data'), '--json');
  const { url, accounts, source } = JSON.parse(await running.line) as Contract;
  const callvault = `npx() { [ "$1" = callvault ] && shift && '${process.execPath}' '${ROOT}/bin/callvault.js' "$@"; }\n`;
  const { code, stdout, stderr } = await bash(callvault + (await readmeCommands()) + (await afterCall()), {
    ...bareEnvironment(),
    URL: url,
    KEY: source.apiKey,
    NURSE_EMAIL: accounts.nurse.email,
    NURSE_PASSWORD: accounts.nurse.password,
    COMPLIANCE_EMAIL: accounts.compliance.email,
    COMPLIANCE_PASSWORD: accounts.compliance.password,
  });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const [, , found, , log, putAnswer] = stdout.split('====\n');
  expect(found).toContain('"callerNumber":"+46701740605"');
  expect(log).toContain('"action":"recording.stored"');
  expect(log).toContain('"action":"playback.opened"');
  expect(JSON.parse(putAnswer ?? '')).toMatchObject({ status: 'stored', mediaType: 'audio/wav' });
  const fixture = await readFile(join(ROOT, 'fixtures/fever.wav'));
  const part = await readFile(join(home, 'part.wav'));
  expect(part.equals(fixture.subarray(0, 65_536))).toBe(true);

  const http = createHttpClient(url);
  expect((await http.get('/readyz')).text).toBe('{"status":"ready"}');
  const ended = await running.interrupt();
  expect(ended.stdout.split('\n')).toHaveLength(2);
  await expect(http.get('/readyz')).rejects.toThrow('ECONNREFUSED');
  http.close();
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
