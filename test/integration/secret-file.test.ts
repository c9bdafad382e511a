import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureSecretFile } from '../../src/storage/secret-file.ts';
import { runChild } from '../support/child.ts';

/** The passwords of a vault's own database. */
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'secret-'));
  path = join(folder, 'application.password');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('is made once, for its owner alone, and stays', async () => {
  const secret = await ensureSecretFile(path);
  expect(secret).toMatch(/^[\w-]{43}$/);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await ensureSecretFile(path)).toBe(secret);
  expect(readdirSync(folder)).toEqual(['application.password']);
});

test('of many who make it at once all get the same, and no draft stays', async () => {
  for (let round = 0; round < 20; round += 1) {
    const secrets = await Promise.all(Array.from({ length: 16 }, () => ensureSecretFile(path)));
    expect(new Set(secrets)).toEqual(new Set([readFileSync(path, 'utf8')]));
    expect(readdirSync(folder)).toEqual(['application.password']);
    rmSync(path);
  }
});

test.each([
  ['before it stood', false],
  ['after it stood', true],
])(
  'a draft of somebody who was killed %s is gone after the next call, and nothing else',
  async (_when, stood) => {
    if (stood) await ensureSecretFile(path);
    const others = [
      'application.password.old',
      'application.password.0123456789ab.txt',
      'other.0123456789ab',
    ];
    for (const name of [...others, 'application.password.0123456789ab'])
      writeFileSync(join(folder, name), 'x', { mode: 0o600 });
    await ensureSecretFile(path);
    expect(readdirSync(folder).sort()).toEqual(['application.password', ...others].sort());
  },
);

test('killed at any moment of the making: one secret in the end, and no draft', async () => {
  for (let round = 0; round < 12; round += 1) {
    const child = runChild(`
      import { ensureSecretFile } from './src/storage/secret-file.ts';
      console.log('begins');
      for (;;) { await ensureSecretFile(${JSON.stringify(path)}); (await import('node:fs')).rmSync(${JSON.stringify(path)}); }
    `);
    await child.nextLine();
    await new Promise((resolve) => setTimeout(resolve, round));
    await child.kill();
  }
  expect(await ensureSecretFile(path)).toMatch(/^[\w-]{43}$/);
  expect(readdirSync(folder)).toEqual(['application.password']);
});
