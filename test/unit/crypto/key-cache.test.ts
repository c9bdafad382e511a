import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import type { OrganisationId } from '../../../src/core/ids.ts';
import { keysDenied, keysUnavailable, wrongKey } from '../../../src/crypto/key-store.ts';
import { createKeyMaterial } from '../../support/key-material.ts';

const MINUTE = 60_000;
const outage = keysUnavailable(new Error('connection refused'));

const createCache = async () => {
  const material = await createKeyMaterial();
  const name = { organisation: randomUUID() as OrganisationId, purpose: 'kek' } as const;
  await material.keys.ensure(name);
  const first = await material.keys.newest(name);
  material.tap.opened = 0;
  return { ...material, name, first };
};
let cache: Awaited<ReturnType<typeof createCache>>;
beforeEach(async () => {
  cache = await createCache();
});

test('a key is unwrapped once in a quarter of an hour', async () => {
  const { keys, clock, tap, name, first } = cache;
  clock.advance(15 * MINUTE - 1);
  expect(await keys.newest(name)).toBe(first);
  expect(tap.opened).toBe(0);
  clock.advance(1);
  expect((await keys.newest(name)).key.equals(first.key)).toBe(true);
  expect(tap.opened).toBe(1);
});

test('a hundred at once wait for one unwrap', async () => {
  const { keys, clock, tap, name } = cache;
  clock.advance(20 * MINUTE);
  const opened = await Promise.all(Array.from({ length: 100 }, () => keys.newest(name)));
  expect(new Set(opened).size).toBe(1);
  expect(tap.opened).toBe(1);
});

test('in an outage the last key serves for an hour after its unwrap, then none', async () => {
  const { keys, clock, tap, name, first } = cache;
  tap.failure = outage;
  clock.advance(59 * MINUTE);
  expect(await keys.newest(name)).toBe(first);
  clock.advance(MINUTE - 1);
  expect(await keys.newest(name)).toBe(first);
  clock.advance(1);
  await expect(keys.newest(name)).rejects.toMatchObject({
    code: 'keys_unavailable',
    extras: { retryAfter: 30 },
  });
  tap.failure = null;
  expect((await keys.newest(name)).key.equals(first.key)).toBe(true);
});

test('an outage is believed for five seconds, so that a provider is not asked by every request', async () => {
  const { keys, clock, tap, name } = cache;
  tap.failure = outage;
  clock.advance(20 * MINUTE);
  for (let i = 0; i < 10; i += 1) await keys.version(name, 1);
  expect(tap.opened).toBe(1);
  clock.advance(5_000);
  await keys.version(name, 1);
  expect(tap.opened).toBe(2);
});

test.each([
  ['a refusal', keysDenied(new Error('access denied')), 'keys_unavailable'],
  ['another root key', wrongKey('another root key'), 'wrong_key'],
  ['damage', new AppError('integrity_failure', 'damaged'), 'integrity_failure'],
  ['a fault of our own', new TypeError('x is undefined'), undefined],
])('%s is not an outage: the key in memory serves no longer', async (_name, failure, code) => {
  const { keys, clock, tap, name } = cache;
  clock.advance(16 * MINUTE);
  tap.failure = failure;
  await expect(keys.version(name, 1)).rejects.toBe(failure);
  expect((failure as { code?: string }).code).toBe(code);
  tap.failure = outage;
  await expect(keys.version(name, 1)).rejects.toBe(outage);
});

test('a clock that was set back makes nothing younger', async () => {
  const { keys, clock, tap, name } = cache;
  clock.advance(-1);
  await keys.version(name, 1);
  expect(tap.opened).toBe(1);
  clock.advance(-1);
  tap.failure = outage;
  await expect(keys.version(name, 1)).rejects.toBe(outage);
});

test('a failure is not remembered', async () => {
  const { keys, clock, tap, name } = cache;
  clock.advance(61 * MINUTE);
  tap.failure = outage;
  await expect(keys.version(name, 1)).rejects.toBe(outage);
  tap.failure = null;
  await keys.version(name, 1);
});

test('a refusal found by the readiness check empties the memory at once; an outage does not', async () => {
  const { keys, tap, name, first } = cache;
  tap.failure = outage;
  await expect(keys.check()).rejects.toBe(outage);
  expect(await keys.newest(name)).toBe(first);
  tap.failure = keysDenied(new Error('access denied'));
  await expect(keys.check()).rejects.toMatchObject({ code: 'keys_unavailable', extras: {} });
  tap.failure = outage;
  await expect(keys.newest(name)).rejects.toBe(outage);
  await expect(keys.version(name, 1)).rejects.toBe(outage);
});

test('a version being unwrapped while it is destroyed does not stay in memory', async () => {
  const { keys, clock, tap, name } = cache;
  await keys.rotate(name);
  clock.advance(16 * MINUTE);
  let letGo: () => void = () => undefined;
  tap.gate = new Promise((resolve) => {
    letGo = resolve;
  });
  const opening = keys.version(name, 1);
  tap.gate = null;
  await keys.destroy(name, 1);
  letGo();
  await expect(opening).rejects.toMatchObject({ code: 'wrong_key' });
  await expect(keys.version(name, 1)).rejects.toMatchObject({ code: 'wrong_key' });
});

test('all live versions come newest first', async () => {
  const { keys, name } = cache;
  await keys.rotate(name);
  await keys.rotate(name);
  expect((await keys.all(name)).map(({ version }) => version)).toEqual([3, 2, 1]);
  await keys.destroy(name, 2);
  expect((await keys.all(name)).map(({ version }) => version)).toEqual([3, 1]);
});
