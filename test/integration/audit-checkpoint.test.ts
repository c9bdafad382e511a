import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { parseNoteKey } from '../../src/core/audit/note.ts';
import { createHttpClient, type HttpClient } from '../support/http-client.ts';
import { type InProcessVault, startInProcess } from '../support/in-process-vault.ts';
import { expectProblem } from '../support/problems.ts';
import { buildScene, type Scene } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** GET /v1/audit/checkpoint: before the first, and what it hands out. */
let vault: InProcessVault;
let http: HttpClient;
let scene: Scene;
beforeAll(async () => {
  vault = await startInProcess({ checkpoint: false });
  http = createHttpClient(vault.url);
  scene = await buildScene(http, vault.adminCreate);
});
afterAll(async () => {
  http.close();
  await vault.close();
});

const head = () =>
  inDatabase(
    vault.folder,
    async (client) =>
      (await client.query('SELECT size::int, root FROM audit.batch ORDER BY first_seq DESC LIMIT 1')).rows[0],
  );

test('before the first there is none; afterwards a signed note of the head as it was, and no entry of its reading', async () => {
  const token = await scene.home.compliance.token();
  expectProblem(await http.get('/v1/audit/checkpoint', { token }), 404, 'not_found');
  await vault.checkpoint();
  const before = await head();
  const reply = await http.get('/v1/audit/checkpoint', { token });
  expect(reply.status).toBe(200);
  expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(reply.headers['cache-control']).toBe('private, no-store');
  const key = parseNoteKey(vault.logKey)!;
  expect(openCheckpoint(reply.text, { origin: key.name, keys: [key] })).toEqual({
    origin: key.name,
    ...before,
  });
  expect(await head()).toEqual(before);
});

test('the newest one, and cosignatures in the order in which they came', async () => {
  const token = await scene.home.compliance.token();
  await vault.checkpoint();
  const { size } = await head();
  const lines = ['— b.example AAAAAAAA\n', '— a.example AAAAAAAA\n'];
  await inDatabase(vault.folder, async (client) => {
    for (const [i, line] of lines.entries())
      await client.query('SELECT audit.keep_cosignature($1, $2, $3)', [
        size,
        `${'ba'[i]}.example+00000000`,
        line,
      ]);
  });
  const { text } = await http.get('/v1/audit/checkpoint', { token });
  expect(text.split('\n')[1]).toBe(String(size));
  expect(text.endsWith(lines.join(''))).toBe(true);
  const key = parseNoteKey(vault.logKey)!;
  expect(openCheckpoint(text, { origin: key.name, keys: [key] })?.size).toBe(size);
});
