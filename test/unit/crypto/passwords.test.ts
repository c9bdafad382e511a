import argon2 from 'argon2';
import { afterEach, expect, test, vi } from 'vitest';
import { createPasswords } from '../../../src/crypto/passwords.ts';
import { createSlots } from '../../../src/crypto/slots.ts';

afterEach(() => vi.restoreAllMocks());

const COST = 'm=47104,p=1,t=1';

test('a password is known again, another is not', async () => {
  const passwords = await createPasswords();
  const stored = await passwords.hash('correct horse battery staple');
  expect(stored).toMatch(new RegExp(`^\\$argon2id\\$v=19\\$${COST}\\$`));
  expect(await passwords.verify(stored, 'correct horse battery staple')).toEqual({
    ok: true,
    outdated: false,
  });
  expect(await passwords.verify(stored, 'correct horse battery stapler')).toEqual({
    ok: false,
    outdated: false,
  });
  expect(await passwords.verify(stored, '')).toEqual({ ok: false, outdated: false });
});

test('the same letters typed in another composition are the same password', async () => {
  const passwords = await createPasswords();
  const stored = await passwords.hash('sm\u00f6rg\u00e5sbord och kaffe');
  expect((await passwords.verify(stored, 'smo\u0308rga\u030asbord och kaffe')).ok).toBe(true);
});

test('an unknown user costs one hash of the same parameters as a known one', async () => {
  const passwords = await createPasswords();
  const stored = await passwords.hash('password of somebody');
  const verify = vi.spyOn(argon2, 'verify');
  expect(await passwords.verify(null, 'password of somebody')).toEqual({ ok: false, outdated: false });
  expect(await passwords.verify(stored, 'wrong')).toEqual({ ok: false, outdated: false });
  expect(await passwords.verify(stored, 'x'.repeat(1025))).toEqual({ ok: false, outdated: false });
  expect(verify).toHaveBeenCalledTimes(3);
  for (const [hash] of verify.mock.calls) expect(hash).toContain(COST);
});

test('a right password whose hash is of an older cost says so, a wrong one does not', async () => {
  const passwords = await createPasswords();
  const old = await argon2.hash('old password', { memoryCost: 8192, timeCost: 2, parallelism: 1 });
  expect(await passwords.verify(old, 'old password')).toEqual({ ok: true, outdated: true });
  expect(await passwords.verify(old, 'new password')).toEqual({ ok: false, outdated: false });
});

test('1,024 bytes are a password, more are not', async () => {
  const passwords = await createPasswords();
  await expect(passwords.hash('å'.repeat(513))).rejects.toThrow(RangeError);
  const stored = await passwords.hash('å'.repeat(512));
  expect((await passwords.verify(stored, 'å'.repeat(512))).ok).toBe(true);
  expect((await passwords.verify(stored, `${'å'.repeat(512)}x`)).ok).toBe(false);
});

test.each([
  ['nothing', ''],
  [
    'another algorithm',
    '$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g',
  ],
  [
    'memory without measure',
    '$argon2id$v=19$m=4000000,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g',
  ],
  [
    'passes without end',
    '$argon2id$v=19$m=19456,t=99,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g',
  ],
  ['a hash too short to mean anything', '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFz'],
  ['a bcrypt hash', '$2b$10$abcdefghijklmnopqrstuv'],
])('a stored hash with %s is refused before it is computed', async (_name, stored) => {
  const passwords = await createPasswords();
  const verify = vi.spyOn(argon2, 'verify');
  await expect(passwords.verify(stored, 'x')).rejects.toMatchObject({ code: 'integrity_failure' });
  expect(verify).not.toHaveBeenCalled();
});

test('more than may wait are turned away, and the rest is served', async () => {
  const passwords = await createPasswords({ concurrency: 1, waiting: 2 });
  const results = await Promise.allSettled(Array.from({ length: 6 }, () => passwords.verify(null, 'x')));
  expect(results.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'fulfilled',
    'rejected',
    'rejected',
    'rejected',
  ]);
  for (const result of results)
    if (result.status === 'rejected')
      expect(result.reason).toMatchObject({ code: 'rate_limited', extras: { retryAfter: 1 } });
});

test('never more at once than allowed, in order, and a failure frees its place', async () => {
  const slots = createSlots({ concurrency: 2, waiting: 100 });
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const work = (i: number) => async () => {
    running += 1;
    most = Math.max(most, running);
    order.push(i);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    if (i % 3 === 0) throw new Error('failed');
  };
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => slots.run(work(i))));
  expect(most).toBe(2);
  expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(7);
  await slots.run(async () => undefined);
});
