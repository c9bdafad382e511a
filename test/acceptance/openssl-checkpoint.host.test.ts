import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';

/** The commands of docs/audit-log.md, as they stand there, with the machine's own openssl and shell. */
const run = promisify(execFile);
const document = readFileSync(join(import.meta.dirname, '../../docs/audit-log.md'), 'utf8');
const script = /<!-- check-checkpoint -->\n```sh\n([\s\S]*?)```/.exec(document)?.[1] ?? '';

let world: CareLineVault;
let folder: string;
let note: string;
let key: string;
beforeAll(async () => {
  world = await startCareLine();
  await world.line.store(newCall(20_000));
  folder = join(world.folder.home, 'check');
  await mkdir(folder);
  const token = await world.line.compliance.token();
  const get = () => world.line.http.get('/v1/audit/checkpoint', { token });
  await until(async () => (await get()).status === 200);
  note = (await get()).text;
  key = (await world.folder.cli('log-key')).stdout.trim();
  await writeFile(join(folder, 'check.sh'), script);
  await chmod(join(folder, 'check.sh'), 0o700);
});
afterAll(() => world?.folder.remove());

const check = async (text: string, vkey = key) => {
  await writeFile(join(folder, 'checkpoint'), text);
  return run('sh', ['-eu', 'check.sh'], { cwd: folder, env: { ...process.env, VKEY: vkey } }).then(
    ({ stdout }) => ({ ok: true, said: stdout }),
    ({ stdout, stderr }: { stdout: string; stderr: string }) => ({ ok: false, said: stdout + stderr }),
  );
};

test('a checkpoint verifies', async () => {
  expect(script).toContain('openssl');
  expect(await check(note)).toEqual({ ok: true, said: 'Signature Verified Successfully\n' });
});

test('with lines of others under it, too', async () => {
  expect((await check(`${note}— witness.example AAAAAAAA\n`)).ok).toBe(true);
});

test('one that says something else does not, nor one of another key', async () => {
  const [origin, size] = note.split('\n');
  expect((await check(note.replace(`${origin}\n${size}\n`, `${origin}\n${Number(size) + 1}\n`))).ok).toBe(
    false,
  );
  const bytes = Buffer.from(key.split('+').slice(2).join('+'), 'base64');
  bytes[5] = bytes[5]! ^ 1;
  const other = [...key.split('+').slice(0, 2), bytes.toString('base64')].join('+');
  expect((await check(note, other)).ok).toBe(false);
});
