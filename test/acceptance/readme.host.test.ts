import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Contract, demo, type Ended, endDemos } from '../support/demo.ts';
import { createHttpClient } from '../support/http-client.ts';
import { bareEnvironment } from '../support/vault.ts';

/** What the README does with the demo, by hand and with curl. */
const ROOT = join(import.meta.dirname, '../..');
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cvd-'));
  await symlink(join(ROOT, 'fixtures'), join(home, 'fixtures'));
});
afterEach(endDemos);
afterAll(() => rm(home, { recursive: true, force: true }));

/** The commands of a chapter of the README, with the values a person copies from the demo’s output. */
const commandsOf = async (title: string): Promise<string> => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const chapter = new RegExp(`^## ${title}\\n(.*?)^## `, 'ms').exec(readme)?.[1] ?? '';
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
  return `echo\necho ====\n${filled}`;
};

test('the README’s commands work as they stand, one after the other, until Ctrl-C', async () => {
  const running = demo('--data-dir', join(home, 'data'), '--json');
  const { url, accounts, source: given } = JSON.parse(await running.line) as Contract;
  const callvault = `npx() { [ "$1" = callvault ] && shift && '${process.execPath}' '${ROOT}/bin/callvault.js' "$@"; }\n`;
  const env = {
    ...bareEnvironment(),
    URL: url,
    KEY: given.apiKey,
    NURSE_EMAIL: accounts.nurse.email,
    NURSE_PASSWORD: accounts.nurse.password,
    NURSE2_EMAIL: accounts.nurse2.email,
    NURSE2_PASSWORD: accounts.nurse2.password,
    ADMIN_EMAIL: accounts.admin.email,
    ADMIN_PASSWORD: accounts.admin.password,
    COMPLIANCE_EMAIL: accounts.compliance.email,
    COMPLIANCE_PASSWORD: accounts.compliance.password,
    TMPDIR: home,
  };
  const whole = callvault + (await commandsOf('By hand, with curl'));
  const source = await commandsOf('Point a telephone system at it');
  expect(source).toContain('as_admin sources');
  const { code, stdout, stderr } = await bash(
    `${whole}${await afterCall()}\necho\necho ====\necho "$TRY"\necho ====\n${source}`,
    env,
  );
  expect(code, stderr).toBe(0);
  const [, , found, , refusals, log, putAnswer, folder, made] = stdout.split('====\n');
  expect(found).toContain('"callerNumber":"+46701740605"');
  expect(refusals?.trim().split('\n')).toEqual(['404', '403', '403']);
  expect(log).toContain('"action":"recording.stored"');
  const denied = [...(log ?? '').matchAll(/"action":"(\w+\.denied)"/g)].map(([, action]) => action);
  // Among the recording's own entries; then all refusals. Newest first.
  const refused = ['access.denied', 'access.denied', 'playback.denied'];
  expect(denied).toEqual([...refused, ...refused]);
  expect(log).toMatch(/\}ok\t\d+ entries/);
  expect(log).toContain('"action":"playback.opened"');
  expect(JSON.parse(putAnswer ?? '')).toMatchObject({ status: 'stored', mediaType: 'audio/wav' });
  const fixture = await readFile(join(ROOT, 'fixtures/fever.wav'));
  const part = await readFile(join(folder?.trim() ?? '', 'part.wav'));
  expect(part.equals(fixture.subarray(0, 65_536))).toBe(true);

  // The source that the README makes delivers by the README's row, to the care unit that it made.
  const { apiKey, source: settings } = JSON.parse(made ?? '') as {
    apiKey: string;
    source: { defaultUnit: string };
  };
  expect(settings.defaultUnit).toMatch(/^[0-9a-f-]{36}$/);
  const delivered = await bash(await afterCall(), { ...env, KEY: apiKey });
  expect(delivered.code, delivered.stderr).toBe(0);
  const stored = JSON.parse(delivered.stdout.split('====\n')[1] ?? '') as { flags: string[] };
  expect(stored).toMatchObject({ status: 'stored' });
  expect(stored.flags).not.toContain('no_care_unit');

  // Whoever tries it once more, with another sound, gets as far.
  const other = whole.replace('WAV=fixtures/fever.wav', 'WAV=fixtures/rash.wav');
  expect(other).not.toBe(whole);
  const again = await bash(`${other}\ntest "$(echo '{}' | field id)" = ''\ntest -s "$TRY/part.wav"`, env);
  expect(again.code, again.stderr).toBe(0);
  expect(again.stdout).toContain('404\n403\n403\n');
  const left = (await readdir(home)).filter((name) => !name.startsWith('tmp.')).sort();
  expect(left).toEqual(['data', 'data.keys', 'fixtures']);

  const http = createHttpClient(url);
  expect((await http.get('/readyz')).text).toBe('{"status":"ready"}');
  const ended = await running.interrupt();
  expect(ended.stdout.split('\n')).toHaveLength(2);
  await expect(http.get('/readyz')).rejects.toThrow('ECONNREFUSED');
  http.close();
});
