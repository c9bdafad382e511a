import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newBearerSecret } from '../../src/crypto/bearer-secrets.ts';
import { IDLE_MS, ROTATION_GRACE_MS } from '../../src/services/session-limits.ts';
import {
  type Identity,
  LIFETIMES,
  newOrganisation,
  startIdentity,
  type TestOrganisation,
} from '../support/identity.ts';

let identity: Identity;
let home: TestOrganisation;

beforeAll(async () => {
  identity = await startIdentity();
  home = await newOrganisation(identity);
});
afterAll(() => identity.close());

const refresh = (value: string) =>
  identity.services.refreshSession({ credential: { kind: 'cookie', value }, request: randomUUID() });
const isValid = (value: string): Promise<boolean> =>
  identity.services.authenticate({ kind: 'cookie', value }).then(
    () => true,
    () => false,
  );
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'let in',
    (error: { code: string }) => error.code,
  );
const signedIn = async () => (await home.newUser('nurse')).signIn();
const closings = async (session: string) =>
  (await identity.entries('session.closed')).filter((entry) => entry.session === session);

describe('each cookie value works once', () => {
  test('the next one works, the session stays the same', async () => {
    const { cookie, session } = await signedIn();
    const second = await refresh(cookie);
    const third = await refresh(second.cookie);
    expect(new Set([cookie, second.cookie, third.cookie]).size).toBe(3);
    expect(third.session).toMatchObject({ id: session.id, subject: session.subject });
    expect(await isValid(third.cookie)).toBe(true);
  });

  test('a replaced value ends the session for the thief and the robbed, and says so in the log', async () => {
    const { cookie, session } = await signedIn();
    const robbed = await refresh(cookie);
    identity.clock.advance(ROTATION_GRACE_MS + 1);
    expect(await codeOf(refresh(cookie))).toBe('unauthenticated');
    expect(await isValid(robbed.cookie)).toBe(false);
    expect(await codeOf(refresh(robbed.cookie))).toBe('unauthenticated');
    expect(await codeOf(identity.services.authenticate({ kind: 'session', sessionId: session.id }))).toBe(
      'unauthenticated',
    );
    expect(await closings(session.id)).toMatchObject([
      { outcome: 'denied', organisation: home.id, detail: { reason: 'reuse_detected' } },
    ]);
  });

  test('whoever comes second with one value within ten seconds gets nothing and ends nothing', async () => {
    const { cookie } = await signedIn();
    const first = await refresh(cookie);
    expect(await codeOf(refresh(cookie))).toBe('conflict');
    expect(await isValid(first.cookie)).toBe(true);
    expect(await refresh(first.cookie)).toHaveProperty('cookie');
  });

  test('twenty at once with one value: exactly one wins, and the session lives', async () => {
    const { cookie } = await signedIn();
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => refresh(cookie)));
    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won).toHaveLength(1);
    const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
    expect(new Set(lost)).toEqual(new Set(['conflict']));
    expect(await isValid(won[0]!.value.cookie)).toBe(true);
  });

  test('twenty at once with a stolen value: one entry, no session, no token', async () => {
    const { cookie, session } = await signedIn();
    const { cookie: current } = await refresh(cookie);
    identity.clock.advance(ROTATION_GRACE_MS + 1);
    const codes = await Promise.all(Array.from({ length: 20 }, () => codeOf(refresh(cookie))));
    expect(new Set(codes)).toEqual(new Set(['unauthenticated']));
    expect(await isValid(current)).toBe(false);
    expect(await closings(session.id)).toHaveLength(1);
  });

  test('the log away does not keep a stolen session alive', async () => {
    const { cookie } = await signedIn();
    const { cookie: current } = await refresh(cookie);
    identity.clock.advance(ROTATION_GRACE_MS + 1);
    await identity.stopLog();
    try {
      expect(await codeOf(refresh(cookie))).toBe('log_unavailable');
      expect(await isValid(current)).toBe(false);
    } finally {
      await identity.resumeLog();
    }
    await expect.poll(() => identity.audit.state()).toBe('ready');
    await identity.changes.reconcile(0);
    expect(await isValid(current)).toBe(false);
  });
});

describe('values replaced long ago', () => {
  test.each([2, 3, 40])(
    'a value that was replaced %i times ends the session like the latest',
    async (times) => {
      const { cookie, session } = await signedIn();
      let current = cookie;
      for (let i = 0; i < times; i += 1) ({ cookie: current } = await refresh(current));
      identity.clock.advance(ROTATION_GRACE_MS + 1);
      expect(await codeOf(refresh(cookie))).toBe('unauthenticated');
      expect(await isValid(current)).toBe(false);
      expect(await closings(session.id)).toHaveLength(1);
    },
  );

  test('what is remembered of a session has an end', async () => {
    const { cookie } = await signedIn();
    let current = cookie;
    for (let i = 0; i < 1_005; i += 1) ({ cookie: current } = await refresh(current));
    const [row] = await identity.prisma.$queryRaw<{ most: number }[]>`
      SELECT max(cardinality(replaced_hashes)) AS most FROM session`;
    expect(row?.most).toBe(1_000);
  });
});

describe('a piece in flight while its page refreshes', () => {
  test('the value just replaced still opens media for ten seconds, and no longer', async () => {
    const { cookie } = await signedIn();
    await refresh(cookie);
    expect(await isValid(cookie)).toBe(true);
    identity.clock.advance(ROTATION_GRACE_MS + 1);
    expect(await isValid(cookie)).toBe(false);
  });
});

describe('a session has an end (H-1, automatic logoff)', () => {
  test('without a refresh it ends after the idle time', async () => {
    const { cookie, session } = await signedIn();
    identity.clock.advance(IDLE_MS - 60_000);
    expect(await isValid(cookie)).toBe(true);
    identity.clock.advance(60_001);
    expect(await isValid(cookie)).toBe(false);
    expect(await codeOf(refresh(cookie))).toBe('unauthenticated');
    expect(await codeOf(identity.services.authenticate({ kind: 'session', sessionId: session.id }))).toBe(
      'unauthenticated',
    );
  });

  test('however busy, it ends after a working day', async () => {
    const { cookie } = await signedIn();
    const started = identity.clock.now();
    let current = cookie;
    while (identity.clock.now() - started < LIFETIMES.userMs - IDLE_MS / 2) {
      const { cookie: next, session } = await refresh(current);
      current = next;
      expect(session.expiresAt.getTime()).toBeLessThanOrEqual(started + LIFETIMES.userMs);
      identity.clock.advance(IDLE_MS / 2);
    }
    identity.clock.advance(IDLE_MS / 2);
    expect(await codeOf(refresh(current))).toBe('unauthenticated');
  });

  test.each([
    '',
    'x',
    newBearerSecret('refresh').text,
    newBearerSecret('key').text,
    'cv_ref_'.repeat(10_000),
  ])('a value that never was one is worth nothing', async (value) => {
    expect(await codeOf(refresh(value))).toBe('unauthenticated');
  });

  test('a token or an API key refreshes nothing', async () => {
    const { session } = await signedIn();
    const request = randomUUID();
    const bySession = { kind: 'session', sessionId: session.id } as const;
    expect(await codeOf(identity.services.refreshSession({ credential: bySession, request }))).toBe(
      'unauthenticated',
    );
    const { apiKey } = await home.newSource();
    const byKey = { kind: 'api_key', value: apiKey } as const;
    expect(await codeOf(identity.services.refreshSession({ credential: byKey, request }))).toBe(
      'unauthenticated',
    );
  });
});

describe('signing out', () => {
  test('ends cookie and tokens at the next request, with an entry', async () => {
    const { cookie, session, actor } = await signedIn();
    await identity.services.signOut({ actor, request: randomUUID() });
    expect(await isValid(cookie)).toBe(false);
    expect(await codeOf(refresh(cookie))).toBe('unauthenticated');
    expect(await closings(session.id)).toMatchObject([{ outcome: 'success', detail: { reason: 'logout' } }]);
  });

  test('works with the log away; only the answer is that the log is away', async () => {
    const { cookie, actor } = await signedIn();
    await identity.stopLog();
    try {
      expect(await codeOf(identity.services.signOut({ actor, request: randomUUID() }))).toBe(
        'log_unavailable',
      );
      expect(await isValid(cookie)).toBe(false);
    } finally {
      await identity.resumeLog();
    }
    await expect.poll(() => identity.audit.state()).toBe('ready');
    await identity.changes.reconcile(0);
    expect(await isValid(cookie)).toBe(false);
  });
});

describe('old sessions are forgotten', () => {
  test('expired ones go when they are of no use as a known place any more; live ones stay', async () => {
    const nurse = await home.newUser('nurse');
    const { session } = await nurse.signIn();
    const rows = async () =>
      (await identity.superuser.query('SELECT 1 FROM session WHERE id = $1', [session.id])).rowCount;
    await identity.services.forgetOldSessions();
    expect(await rows()).toBe(1);
    identity.clock.advance(89 * 86_400_000);
    await identity.services.forgetOldSessions();
    expect(await rows()).toBe(1);
    identity.clock.advance(2 * 86_400_000);
    expect(await identity.services.forgetOldSessions()).toBeGreaterThan(0);
    expect(await rows()).toBe(0);
  });
});
