import { randomUUID } from 'node:crypto';
import argon2 from 'argon2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressPrefix } from '../../src/core/address.ts';
import { bearerSecretHash } from '../../src/crypto/bearer-secrets.ts';
import { type Identity, newOrganisation, startIdentity, type TestOrganisation } from '../support/identity.ts';

let identity: Identity;
let home: TestOrganisation;

beforeAll(async () => {
  identity = await startIdentity();
  home = await newOrganisation(identity);
});
afterAll(() => identity.close());

/** A place nobody has used, so that no counter of another test is in the way. */
let places = 0;
const newPlace = (): string => {
  places += 1;
  return `2001:db8:${places.toString(16)}::1`;
};

const refusal = (promise: Promise<unknown>): Promise<{ code: string; message: string }> =>
  promise.then(
    () => {
      throw new Error('it was let in');
    },
    (error: { code: string; message: string }) => ({ code: error.code, message: error.message }),
  );

let statements = 0;

/** What one attempt costs: every call that takes noticeable time, counted. */
const costOf = async (attempt: () => Promise<unknown>) => {
  const hashes = { ...identity.calls };
  const entries = (await identity.entries()).length;
  const before = statements;
  const answer = await refusal(attempt());
  return {
    answer,
    hash: identity.calls.hash - hashes.hash,
    verify: identity.calls.verify - hashes.verify,
    statements: statements - before,
    entries: (await identity.entries()).length - entries,
  };
};

beforeAll(() => {
  const query = identity.pool.query.bind(identity.pool) as (...args: unknown[]) => unknown;
  identity.pool.query = ((...args: unknown[]) => {
    statements += 1;
    return query(...args);
  }) as typeof identity.pool.query;
});

describe('a password for a session', () => {
  test('the entry, the session and the cookie belong together; the cookie itself is kept nowhere', async () => {
    const nurse = await home.newUser('nurse');
    const { session, cookie, actor } = await nurse.signIn();
    const opened = (await identity.entries('session.opened')).at(-1);
    expect(opened).toMatchObject({
      actor: { type: 'user', id: nurse.id, role: 'nurse' },
      organisation: home.id,
      session: session.id,
      outcome: 'success',
      detail: { method: 'password' },
    });
    expect(actor).toMatchObject({ type: 'user', id: nurse.id, session: session.id });
    const { rows } = await identity.superuser.query('SELECT * FROM session WHERE id = $1', [session.id]);
    expect(rows[0].refresh_hash).toEqual(bearerSecretHash(cookie, 'refresh'));
    expect(JSON.stringify(rows)).not.toContain(cookie);
    expect(await identity.services.authenticate({ kind: 'cookie', value: cookie })).toEqual(actor);
    expect(await identity.services.authenticate({ kind: 'session', sessionId: session.id })).toEqual(actor);
  });

  test('the address and its network stand nowhere, neither in the database nor in the log', async () => {
    const nurse = await home.newUser('nurse');
    const address = '198.51.100.77';
    await nurse.signIn(address);
    await refusal(home.signIn(nurse.email, 'wrong password', address));
    const { rows } = await identity.superuser.query('SELECT * FROM session');
    const everything = JSON.stringify([rows, await identity.entries()]);
    expect(everything).not.toContain('198.51.100');
    expect(everything).not.toContain(nurse.email);
    expect(addressPrefix(address)).toContain('198.51.100');
  });

  test('e-mail addresses are compared without regard to case and composition', async () => {
    const nurse = await home.newUser('nurse');
    const { actor } = await home.signIn(` ${nurse.email.toUpperCase()} `, nurse.password);
    expect(actor.id).toBe(nurse.id);
  });
});

describe('unknown user, wrong password and disabled account look and cost the same', () => {
  test('same answer, same calls of the hash function, same statements, same entries', async () => {
    const nurse = await home.newUser('nurse');
    const disabled = await home.newUser('nurse');
    await identity.services.userAccess.disable(home.caller(), disabled.id);
    const asked = (email: string, password: string) => () => home.signIn(email, password, newPlace());
    const wrong = await costOf(asked(nurse.email, 'not the password'));
    const unknown = await costOf(asked('nobody@nowhere.example', 'not the password'));
    const noAddress = await costOf(asked('no \u0000 address \ud800 at all', 'not the password'));
    const shutOut = await costOf(asked(disabled.email, disabled.password));
    expect(wrong).toMatchObject({ verify: 1, hash: 0, entries: 1, answer: { code: 'unauthenticated' } });
    expect(wrong.statements).toBeGreaterThan(0);
    for (const other of [unknown, noAddress, shutOut]) expect(other).toEqual(wrong);
  });

  test('a whole organisation that is disabled looks the same too', async () => {
    const other = await newOrganisation(identity);
    await identity.tables.organisations.setDisabled(other.id, new Date());
    const answer = await costOf(() => other.signIn(other.admin.email, other.admin.password, newPlace()));
    expect(answer).toMatchObject({ verify: 1, hash: 0, entries: 1, answer: { code: 'unauthenticated' } });
  });

  test('an absurd password is refused at the same cost', async () => {
    const nurse = await home.newUser('nurse');
    const { verify, answer } = await costOf(() => home.signIn(nurse.email, 'x'.repeat(100_000), newPlace()));
    expect({ verify, code: answer.code }).toEqual({ verify: 1, code: 'unauthenticated' });
  });
});

describe('refusals in the log', () => {
  test('a hundred guesses from one place at one account are one entry now and one with a count', async () => {
    const nurse = await home.newUser('nurse');
    const place = newPlace();
    const before = (await identity.entries('session.refused')).length;
    for (let i = 0; i < 30; i += 1) await refusal(home.signIn(nurse.email, `guess ${i}`, place));
    const [first, ...none] = (await identity.entries('session.refused')).slice(before);
    expect(none).toEqual([]);
    expect(first).toMatchObject({
      organisation: null,
      actor: { type: 'anonymous', id: null },
      outcome: 'denied',
      detail: { count: 1, reason: 'credentials', prefix: expect.stringMatching(/^1:[0-9a-f]{32}$/) },
    });
  });

  test('guessing is slowed before the hash function is asked, and the right password does not help', async () => {
    const nurse = await home.newUser('nurse');
    const place = newPlace();
    const { answer, verify } = await identity.clock.standStill(async () => {
      for (let i = 0; i < 10; i += 1) await refusal(home.signIn(nurse.email, `guess ${i}`, place));
      return costOf(() => home.signIn(nurse.email, nurse.password, place));
    });
    expect({ code: answer.code, verify }).toEqual({ code: 'rate_limited', verify: 0 });
  });

  test('signing in, however often, is no guessing', async () => {
    const nurse = await home.newUser('nurse');
    const place = newPlace();
    for (let i = 0; i < 15; i += 1) expect((await nurse.signIn(place)).actor.id).toBe(nurse.id);
  });

  test('where the account is at home it signs in while strangers guess at it from everywhere', async () => {
    const nurse = await home.newUser('nurse');
    const ward = newPlace();
    await nurse.signIn(ward);
    const guesses = Array.from({ length: 40 }, (_, i) =>
      refusal(home.signIn(nurse.email, `guess ${i}`, newPlace())),
    );
    const codes = (await Promise.all(guesses)).map(({ code }) => code);
    expect(codes).toContain('rate_limited');
    expect((await refusal(home.signIn(nurse.email, nurse.password, newPlace()))).code).toBe('rate_limited');
    expect((await nurse.signIn(ward)).actor.id).toBe(nurse.id);
  });
});

describe('with the log away nobody signs in', () => {
  test('no session, no token, whether the password is right or wrong', async () => {
    const nurse = await home.newUser('nurse');
    const sessions = () => identity.superuser.query('SELECT count(*)::int AS n FROM session');
    const before = (await sessions()).rows[0].n;
    await identity.stopLog();
    try {
      const right = await refusal(home.signIn(nurse.email, nurse.password, newPlace()));
      const wrong = await refusal(home.signIn(nurse.email, 'wrong', newPlace()));
      expect(right.code).toBe('log_unavailable');
      expect(wrong.code).toBe('log_unavailable');
    } finally {
      await identity.resumeLog();
    }
    expect((await sessions()).rows[0].n).toBe(before);
    await expect.poll(() => identity.audit.state()).toBe('ready');
    expect((await nurse.signIn(newPlace())).actor.id).toBe(nurse.id);
  });
});

test('what was counted is in the log before the vault has closed', async () => {
  const apart = await startIdentity();
  try {
    const organisation = await newOrganisation(apart);
    for (let i = 0; i < 25; i += 1)
      await refusal(organisation.signIn(organisation.admin.email, `guess ${i}`));
    await apart.services.closeIdentity();
    const counts = (await apart.entries('session.refused')).map(({ detail }) => [
      detail.count,
      detail.reason,
    ]);
    expect(counts).toEqual([
      [1, 'credentials'],
      [24, 'several'],
    ]);
  } finally {
    await apart.close();
  }
});

test('with the log closed or halted no password is looked at, not even in a minute that is counted already', async () => {
  const apart = await startIdentity();
  try {
    const organisation = await newOrganisation(apart);
    const guess = () => refusal(organisation.signIn(organisation.admin.email, 'wrong'));
    expect((await guess()).code).toBe('unauthenticated');
    await apart.audit.close();
    const { verify } = apart.calls;
    expect((await guess()).code).toBe('log_unavailable');
    expect(apart.calls.verify).toBe(verify);
  } finally {
    await apart.close();
  }
});

describe('changes that cross a sign-in', () => {
  test('a password changed while it was being checked opens no session', async () => {
    const nurse = await home.newUser('nurse');
    const { rows } = await identity.superuser.query('SELECT password_hash FROM app_user WHERE id = $1', [
      nurse.id,
    ]);
    await identity.tables.users.setPassword(nurse.id, await argon2.hash('another password'), {
      initial: false,
    });
    const opened = await identity.tables.sessions.openForUser({
      id: randomUUID(),
      userId: nurse.id,
      passwordHash: rows[0].password_hash,
      refreshHash: Buffer.alloc(32, 1),
      addressIndex: Buffer.alloc(16),
      at: new Date(),
      expiresAt: new Date(Date.now() + 60_000),
    });
    expect(opened).toBe(false);
  });

  test('a hash of an older cost is renewed, and the session opened with the new one', async () => {
    const nurse = await home.newUser('nurse');
    const old = await argon2.hash(nurse.password, {
      type: argon2.argon2id,
      memoryCost: 8192,
      timeCost: 2,
      parallelism: 1,
    });
    await identity.tables.users.setPassword(nurse.id, old, { initial: false });
    await nurse.signIn();
    const hash = await identity.tables.users.passwordHash(nurse.id);
    expect(hash).not.toBe(old);
    expect(hash).toContain('m=47104');
    await nurse.signIn();
  });
});
