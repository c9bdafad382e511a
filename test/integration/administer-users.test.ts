import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Identity, newOrganisation, startIdentity, type TestOrganisation } from '../support/identity.ts';

let identity: Identity;
let home: TestOrganisation;
let other: TestOrganisation;

beforeAll(async () => {
  identity = await startIdentity();
  home = await newOrganisation(identity);
  other = await newOrganisation(identity);
});
afterAll(() => identity.close());

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );
const changesOf = async (target: string) =>
  (await identity.entries('user.changed')).filter((entry) => entry.detail.target === target);
const actorNow = (sessionId: string) => identity.services.authenticate({ kind: 'session', sessionId });

describe('making accounts', () => {
  test('the entry comes first and says who made whom; the password is shown once and kept as a hash', async () => {
    const unit = await home.newUnit();
    const nurse = await home.newUser('nurse', [unit.id]);
    expect(await changesOf(nurse.id)).toMatchObject([
      {
        actor: { type: 'user', id: home.admin.id, role: 'admin' },
        organisation: home.id,
        outcome: 'success',
        detail: { target: nurse.id, change: `created nurse, units +${unit.id}` },
      },
    ]);
    const { rows } = await identity.superuser.query('SELECT * FROM app_user WHERE id = $1', [nurse.id]);
    expect(rows[0].password_hash).toMatch(/^\$argon2id\$/);
    expect(JSON.stringify(rows)).not.toContain(nurse.password);
    expect(nurse.password).toMatch(/^([a-z2-9]{5}-){4}[a-z2-9]{5}$/);
    expect((await nurse.signIn()).actor).toMatchObject({ units: [unit.id], role: 'nurse' });
  });

  test.each(['installation_admin', 'installation_auditor'] as const)(
    'an administrator cannot make a %s, and the attempt is an entry',
    async (role) => {
      const asked = { email: `${randomUUID()}@x.example`, displayName: 'X', role };
      expect(await codeOf(identity.services.users.create(home.caller(), asked))).toBe('forbidden');
      expect((await identity.entries('access.denied')).at(-1)).toMatchObject({
        actor: { id: home.admin.id },
        detail: { reason: 'role_above_own' },
      });
    },
  );

  test('nurses and compliance officers can make nobody', async () => {
    for (const role of ['nurse', 'compliance'] as const) {
      const { actor } = await (await home.newUser(role)).signIn();
      const asked = { email: `${randomUUID()}@x.example`, displayName: 'X', role: 'nurse' as const };
      const caller = home.callerOf(actor);
      expect(await codeOf(identity.services.users.create(caller, asked))).toBe('forbidden');
      expect(await codeOf(identity.services.users.list(caller, {}))).toBe('forbidden');
      expect(await codeOf(identity.services.userAccess.disable(caller, home.admin.id))).toBe('forbidden');
    }
  });
});

describe('an e-mail address', () => {
  test('is one account’s, also when asked for by many at once', async () => {
    const email = `${randomUUID()}@x.example`;
    const asked = { email, displayName: 'X', role: 'nurse' as const };
    const create = (caller = home.caller()) => identity.services.users.create(caller, asked);
    const codes = await Promise.all(
      Array.from({ length: 8 }, (_, i) => codeOf(create(i % 2 ? other.caller() : home.caller()))),
    );
    expect(codes.filter((code) => code === 'done').length).toBeLessThanOrEqual(1);
    expect(codes.filter((code) => code !== 'done').every((code) => code === 'conflict')).toBe(true);
    await codeOf(create());
    expect(await codeOf(create())).toBe('conflict');
    const { rows } = await identity.superuser.query('SELECT id FROM app_user WHERE email = $1', [email]);
    expect(rows).toHaveLength(1);
    expect(await changesOf(rows[0].id)).toHaveLength(1);
    expect((await identity.superuser.query('SELECT 1 FROM pending_change')).rowCount).toBe(0);
  });

  test('in use cannot be taken by a change either, and one given up is free', async () => {
    const [one, two] = [await home.newUser('nurse'), await home.newUser('nurse')];
    const { users } = identity.services;
    expect(await codeOf(users.change(home.caller(), two.id, { email: one.email.toUpperCase() }))).toBe(
      'conflict',
    );
    const moved = await users.change(home.caller(), one.id, { email: `${randomUUID()}@x.example` });
    expect(moved.email).not.toBe(one.email);
    expect((await users.change(home.caller(), two.id, { email: one.email })).email).toBe(one.email);
    expect((await home.signIn(one.email, two.password)).actor.id).toBe(two.id);
  });

  test.each([
    [{ email: 'nobody' }, 'body/email'],
    [{ displayName: ' ' }, 'body/displayName'],
    [{ units: ['00000000-0000-4000-8000-000000000000'] }, 'body/units'],
    [{ role: 'compliance', units: ['00000000-0000-4000-8000-000000000000'] }, 'body/units'],
  ])('%j is refused by name, and leaves nothing', async (over, where) => {
    const asked = { email: `${randomUUID()}@x.example`, displayName: 'X', role: 'nurse', ...over } as never;
    await expect(identity.services.users.create(home.caller(), asked)).rejects.toMatchObject({
      code: 'invalid_request',
      extras: { faults: [{ where }] },
    });
  });
});

describe('nobody raises himself, nobody reaches beyond his own organisation', () => {
  test('an administrator cannot give himself care units', async () => {
    const unit = await home.newUnit();
    const change = identity.services.users.change(home.caller(), home.admin.id, { units: [unit.id] });
    expect(await codeOf(change)).toBe('invalid_request');
    expect(await actorNow(home.admin.session.id)).toMatchObject({ role: 'admin', units: [] });
  });

  test('a role cannot be changed at all: not through the service, and not by the role the vault has in the database', async () => {
    const nurse = await home.newUser('nurse');
    const asked = { role: 'admin', displayName: 'N' } as never;
    await identity.services.users.change(home.caller(), nurse.id, asked);
    expect(await identity.tables.users.find(nurse.id)).toMatchObject({ role: 'nurse', displayName: 'N' });
    const raise = identity.pool.query("UPDATE app_user SET role = 'admin' WHERE id = $1", [nurse.id]);
    await expect(raise).rejects.toMatchObject({ code: '42501' });
  });

  test('a foreign unit is no unit', async () => {
    const foreign = await other.newUnit();
    const nurse = await home.newUser('nurse');
    const change = identity.services.users.change(home.caller(), nurse.id, { units: [foreign.id] });
    expect(await codeOf(change)).toBe('invalid_request');
  });

  test("another organisation's user answers like one that does not exist, and both leave an entry", async () => {
    const foreign = await other.newUser('nurse');
    const { users, userAccess } = identity.services;
    const tries = (id: string) => [
      () => users.change(home.caller(), id, { displayName: 'mine' }),
      () => userAccess.disable(home.caller(), id),
      () => userAccess.enable(home.caller(), id),
      () => userAccess.resetPassword(home.caller(), id),
    ];
    for (const id of [foreign.id, randomUUID()])
      for (const attempt of tries(id)) {
        const before = (await identity.entries('access.denied')).length;
        await expect(attempt()).rejects.toMatchObject({
          code: 'not_found',
          message: 'There is nothing by this id.',
        });
        expect((await identity.entries('access.denied')).slice(before)).toMatchObject([
          { actor: { id: home.admin.id }, outcome: 'denied', detail: { reason: 'unknown' } },
        ]);
      }
    expect(await identity.tables.users.find(foreign.id)).toMatchObject({
      displayName: 'nurse',
      disabledAt: null,
    });
  });

  test('lists show the own organisation only, page by page', async () => {
    const page = async (cursor?: string) =>
      identity.services.users.list(other.caller(), { limit: 2, ...(cursor === undefined ? {} : { cursor }) });
    for (let i = 0; i < 4; i += 1) await other.newUser('nurse');
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { items, next } = await page(cursor);
      expect(items.length).toBeLessThanOrEqual(2);
      seen.push(...items.map(({ id }) => id));
      cursor = next ?? undefined;
    } while (cursor !== undefined);
    const { rows } = await identity.superuser.query(
      'SELECT id FROM app_user WHERE organisation_id = $1 ORDER BY created_at, id',
      [other.id],
    );
    expect(seen).toEqual(rows.map(({ id }) => id));
  });
});

describe('ASVS 8.3.2 a change counts from the next request', () => {
  test('units given and taken', async () => {
    const [first, second] = [await home.newUnit(), await home.newUnit()];
    const nurse = await home.newUser('nurse', [first.id]);
    const { session } = await nurse.signIn();
    await identity.services.users.change(home.caller(), nurse.id, { units: [second.id] });
    expect(await actorNow(session.id)).toMatchObject({ units: [second.id] });
    expect((await changesOf(nurse.id)).at(-1)?.detail.change).toBe(`units +${second.id} -${first.id}`);
  });

  test('a disabled unit gives nobody anything', async () => {
    const unit = await home.newUnit();
    const nurse = await home.newUser('nurse', [unit.id]);
    const { session } = await nurse.signIn();
    await identity.services.units.setDisabled(home.caller(), unit.id, true);
    expect(await actorNow(session.id)).toMatchObject({ units: [] });
    await identity.services.units.setDisabled(home.caller(), unit.id, false);
    expect(await actorNow(session.id)).toMatchObject({ units: [unit.id] });
  });

  test('a disabled user is out, every session with an entry; enabled again, old sessions stay dead', async () => {
    const nurse = await home.newUser('nurse');
    const sessions = [await nurse.signIn(), await nurse.signIn()];
    await identity.services.userAccess.disable(home.caller(), nurse.id);
    for (const { session, cookie } of sessions) {
      expect(await codeOf(actorNow(session.id))).toBe('unauthenticated');
      const refresh = identity.services.refreshSession({
        credential: { kind: 'cookie', value: cookie },
        request: randomUUID(),
      });
      expect(await codeOf(refresh)).toBe('unauthenticated');
    }
    const closed = (await identity.entries('session.closed')).filter(
      ({ detail }) => detail.reason === 'disabled',
    );
    expect(closed.map(({ session }) => session)).toEqual(
      expect.arrayContaining(sessions.map(({ session }) => session.id)),
    );
    await identity.services.userAccess.enable(home.caller(), nurse.id);
    for (const { session } of sessions) expect(await codeOf(actorNow(session.id))).toBe('unauthenticated');
    expect((await nurse.signIn()).actor.id).toBe(nurse.id);
  });

  test('a reset password ends every session, and the old one opens nothing', async () => {
    const nurse = await home.newUser('nurse');
    const { session } = await nurse.signIn();
    const { initialPassword } = await identity.services.userAccess.resetPassword(home.caller(), nurse.id);
    expect(await codeOf(actorNow(session.id))).toBe('unauthenticated');
    expect(await codeOf(nurse.signIn())).toBe('unauthenticated');
    expect((await home.signIn(nurse.email, initialPassword)).actor.id).toBe(nurse.id);
    expect(await codeOf(identity.services.userAccess.resetPassword(home.caller(), home.admin.id))).toBe(
      'conflict',
    );
  });
});

describe('the last administrator', () => {
  test('cannot be disabled, by himself or by anybody', async () => {
    expect(await codeOf(identity.services.userAccess.disable(home.caller(), home.admin.id))).toBe('conflict');
    expect(await actorNow(home.admin.session.id)).toMatchObject({ role: 'admin' });
    const entries = await changesOf(home.admin.id);
    expect(entries.filter(({ detail }) => detail.change === 'disabled')).toEqual([]);
  });

  test('two who disable each other at once: one of them stays', async () => {
    for (let round = 0; round < 5; round += 1) {
      const organisation = await newOrganisation(identity);
      const second = await organisation.newUser('admin');
      const { actor } = await second.signIn();
      const { userAccess } = identity.services;
      const codes = await Promise.all([
        codeOf(userAccess.disable(organisation.caller(), second.id)),
        codeOf(userAccess.disable(organisation.callerOf(actor), organisation.admin.id)),
      ]);
      expect(codes.toSorted()).toEqual(['conflict', 'done']);
    }
  });
});
