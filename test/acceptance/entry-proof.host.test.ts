import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';

/** The programs of docs/audit-log.md (A proof of one entry), as they stand there, with the machine's own python3, openssl and shell. */
const run = promisify(execFile);
const document = readFileSync(join(import.meta.dirname, '../../docs/audit-log.md'), 'utf8');
const python = /<!-- check-entry -->\n```python\n([\s\S]*?)```/.exec(document)?.[1] ?? '';
const shell = /<!-- check-checkpoint -->\n```sh\n([\s\S]*?)```/.exec(document)?.[1] ?? '';

type Proof = {
  readonly seq: number;
  readonly size: number;
  readonly body: string;
  readonly salt: string;
  readonly commitment: string;
  readonly proof: readonly string[];
  readonly checkpoint: string;
};

let world: CareLineVault;
let folder: string;
let proof: Proof;
let key: string;

beforeAll(async () => {
  world = await startCareLine();
  folder = join(world.folder.home, 'check');
  await mkdir(folder);
  await world.line.hear(await world.line.store(newCall(20_000)));
  const token = await world.line.compliance.token();
  const found = await world.line.http.post('/v1/audit/search', {
    token,
    json: { action: 'recording.stored' },
  });
  const [{ seq }] = (JSON.parse(found.text) as { entries: [{ seq: number }] }).entries;
  proof = JSON.parse((await world.line.http.get(`/v1/audit/entries/${seq}/proof`, { token })).text) as Proof;
  key = (await world.folder.cli('log-key')).stdout.trim();
});
afterAll(() => world?.folder.remove());

type Said = { readonly ok: boolean; readonly said: string };
const outcome = (running: Promise<{ stdout: string }>): Promise<Said> =>
  running.then(
    ({ stdout }) => ({ ok: true, said: stdout }),
    ({ stdout, stderr }: { stdout: string; stderr: string }) => ({ ok: false, said: stdout + stderr }),
  );

const check = async (answer: object): Promise<Said> => {
  await rm(join(folder, 'checkpoint'), { force: true });
  await writeFile(join(folder, 'proof.json'), JSON.stringify(answer));
  await writeFile(join(folder, 'check.py'), python);
  return outcome(run('python3', ['check.py'], { cwd: folder }));
};
const checkSignature = (vkey: string): Promise<Said> =>
  outcome(run('sh', ['-euc', shell], { cwd: folder, env: { ...process.env, VKEY: vkey } }));

test('thirty lines, give or take a few, and they know nothing of us', () => {
  const lines = python.split('\n').filter((line) => line.trim() !== '');
  expect(lines.length).toBeGreaterThan(20);
  expect(lines.length).toBeLessThanOrEqual(35);
  expect(python).not.toContain('callvault');
});

test('an entry that is in the log, and the signature under its checkpoint', async () => {
  expect(await check(proof)).toEqual({
    ok: true,
    said: expect.stringMatching(
      `^entry ${proof.seq} is in the log of ${proof.size} entries, if callvault\\.`,
    ),
  });
  expect(await readFile(join(folder, 'checkpoint'), 'utf8')).toBe(proof.checkpoint);
  expect(await checkSignature(key)).toEqual({ ok: true, said: 'Signature Verified Successfully\n' });
});

const zero = Buffer.alloc(32).toString('base64');
test.each<[string, (of: Proof) => object]>([
  ['another body', (of) => ({ ...of, body: of.body.replace('success', 'denied') })],
  ['another salt', (of) => ({ ...of, salt: zero })],
  ['a salt of another length', (of) => ({ ...of, salt: of.salt.slice(0, 40) })],
  ['another commitment', (of) => ({ ...of, commitment: zero })],
  ['another place', (of) => ({ ...of, seq: of.seq + 1 })],
  ['a place beyond the tree', (of) => ({ ...of, seq: of.size })],
  ['a place before it', (of) => ({ ...of, seq: -1 })],
  ['another size', (of) => ({ ...of, size: of.size + 1 })],
  ['a hash of the path exchanged', (of) => ({ ...of, proof: of.proof.with(1, zero) })],
  ['a hash of the path left out', (of) => ({ ...of, proof: of.proof.slice(1) })],
  ['a hash too many', (of) => ({ ...of, proof: [...of.proof, zero] })],
  ['a path that is empty', (of) => ({ ...of, proof: [] })],
  [
    'the checkpoint of another root',
    (of) => ({ ...of, checkpoint: of.checkpoint.replace(/\n.{44}\n/, `\n${zero}\n`) }),
  ],
  ['no checkpoint', (of) => ({ ...of, checkpoint: null })],
])('%s: refused, and no checkpoint is left to be checked', async (_what, change) => {
  const { ok } = await check(change(proof));
  expect(ok).toBe(false);
  await expect(readFile(join(folder, 'checkpoint'))).rejects.toThrow('ENOENT');
});

/** Everything made anew by somebody who has no key: body, leaf, a tree of one, and the honest signature under it. */
const forged = (of: Proof): object => {
  const sha256 = (...parts: readonly (Buffer | string)[]) =>
    createHash('sha256')
      .update(Buffer.concat(parts.map((part) => Buffer.from(part as string))))
      .digest();
  const body = of.body.replace('success', 'denied');
  const commitment = sha256(Buffer.of(2), Buffer.from(of.salt, 'base64'), body);
  const root = sha256(Buffer.of(0, 1), commitment).toString('base64');
  const [name, , , ...rest] = of.checkpoint.split('\n');
  const checkpoint = [name, '1', root, ...rest].join('\n');
  return { ...of, seq: 0, size: 1, proof: [], body, commitment: commitment.toString('base64'), checkpoint };
};

test('a whole log made anew: the arithmetic is right, the signature is not', async () => {
  expect(await check(forged(proof))).toMatchObject({ ok: true });
  expect(await checkSignature(key)).toMatchObject({ ok: false });
});
