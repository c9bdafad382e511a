import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ActorContext } from '../../src/core/access.ts';
import type { OrganisationId } from '../../src/core/ids.ts';
import { createKeyCache } from '../../src/crypto/key-cache.ts';
import { type Identity, newOrganisation, startIdentity } from '../support/identity.ts';

let identity: Identity;
let root: { actor: ActorContext; email: string; password: string; id: string };

const signIn = (email: string, password: string) =>
  identity.services.signIn({ email, password, address: '192.0.2.1', request: randomUUID() });
const callerOf = (actor: ActorContext) => ({ actor, request: randomUUID(), route: '/test' });
const caller = () => callerOf(root.actor);
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );

beforeAll(async () => {
  identity = await startIdentity();
  const email = 'root@installation.example';
  const made = await identity.services.createFirstAdmin({ email, displayName: 'Root' });
  const { actor } = await signIn(email, made.initialPassword);
  root = { actor, email, password: made.initialPassword, id: made.userId };
});
afterAll(() => identity.close());

const newOne = (name: string = randomUUID()) =>
  identity.services.organisations.create(caller(), {
    name,
    admin: { email: `${randomUUID()}@x.example`, displayName: 'First' },
  });

describe('an organisation comes with its keys and its first administrator', () => {
  test('all of it, and an entry in each part of the log', async () => {
    const email = `${randomUUID()}@region.example`;
    const { organisation, adminId, initialPassword } = await identity.services.organisations.create(
      caller(),
      {
        name: 'Region Öst',
        admin: { email, displayName: 'Åsa' },
      },
    );
    expect((await signIn(email, initialPassword)).actor).toMatchObject({
      role: 'admin',
      organisation: organisation.id,
    });
    const created = (await identity.entries('organisation.changed')).at(-1);
    expect(created).toMatchObject({
      actor: { id: root.id, role: 'installation_admin' },
      organisation: organisation.id,
      detail: { target: organisation.id, change: 'created' },
    });
    expect((await identity.entries('user.changed')).at(-1)).toMatchObject({
      actor: { id: root.id },
      organisation: organisation.id,
      detail: { target: adminId, change: 'created admin' },
    });
    const keys = createKeyCache({ store: identity.keyFolder.store, now: Date.now });
    for (const purpose of ['kek', 'field', 'index', 'edge'] as const)
      expect(await keys.newest({ organisation: organisation.id as OrganisationId, purpose })).toMatchObject({
        version: 1,
      });
  });

  test('one name is one organisation, also when asked for by many at once', async () => {
    const name = randomUUID();
    const codes = await Promise.all(Array.from({ length: 6 }, () => codeOf(newOne(name))));
    expect(codes.filter((code) => code === 'done').length).toBeLessThanOrEqual(1);
    expect(codes.filter((code) => code !== 'done' && code !== 'conflict')).toEqual([]);
    await codeOf(newOne(name));
    expect(await codeOf(newOne(name))).toBe('conflict');
    const { rowCount } = await identity.superuser.query('SELECT 1 FROM organisation WHERE name = $1', [name]);
    expect(rowCount).toBe(1);
  });

  test('an e-mail address in use makes no organisation, no key and no entry', async () => {
    const name = randomUUID();
    const before = (await identity.entries()).length;
    const asked = { name, admin: { email: root.email, displayName: 'X' } };
    expect(await codeOf(identity.services.organisations.create(caller(), asked))).toBe('conflict');
    expect((await identity.entries()).length).toBe(before);
    expect(
      (await identity.superuser.query('SELECT 1 FROM organisation WHERE name = $1', [name])).rowCount,
    ).toBe(0);
  });
});

describe('an installation administrator', () => {
  test('sees nothing inside: no user, unit, source or policy of any organisation', async () => {
    const { organisation, adminId } = await newOne();
    const { users, userAccess, units, sources, policies } = identity.services;
    expect(await codeOf(units.list(caller(), {}))).toBe('forbidden');
    expect(await codeOf(sources.list(caller(), {}))).toBe('forbidden');
    expect(await codeOf(policies.read(caller()))).toBe('forbidden');
    expect(await codeOf(users.change(caller(), adminId, { displayName: 'mine' }))).toBe('not_found');
    expect(await codeOf(userAccess.resetPassword(caller(), adminId))).toBe('not_found');
    const { items } = await users.list(caller(), {});
    expect(items.map(({ organisationId }) => organisationId)).not.toContain(organisation.id);
    expect(items.map(({ id }) => id)).toContain(root.id);
  });

  test('makes installation auditors and administrators, and nobody who belongs to an organisation', async () => {
    const make = (role: 'installation_auditor' | 'installation_admin' | 'nurse' | 'admin') =>
      identity.services.users.create(caller(), {
        email: `${randomUUID()}@x.example`,
        displayName: 'X',
        role,
      });
    const { user, initialPassword } = await make('installation_auditor');
    expect((await signIn(user.email, initialPassword)).actor).toMatchObject({
      role: 'installation_auditor',
      organisation: null,
    });
    expect(await codeOf(make('installation_admin'))).toBe('done');
    expect(await codeOf(make('nurse'))).toBe('forbidden');
    expect(await codeOf(make('admin'))).toBe('forbidden');
  });

  test('the last one cannot be disabled', async () => {
    const { userAccess, users } = identity.services;
    const { items } = await users.list(caller(), { limit: 200 });
    for (const { id, role } of items)
      if (role === 'installation_admin' && id !== root.id) await userAccess.disable(caller(), id);
    expect(await codeOf(userAccess.disable(caller(), root.id))).toBe('conflict');
  });

  test('nobody else touches organisations', async () => {
    const organisation = await newOrganisation(identity);
    const { organisations } = identity.services;
    for (const actor of [
      organisation.admin.actor,
      (await (await organisation.newUser('compliance')).signIn()).actor,
    ]) {
      const by = callerOf(actor);
      expect(await codeOf(organisations.list(by, {}))).toBe('forbidden');
      expect(await codeOf(organisations.rename(by, organisation.id, { name: 'mine' }))).toBe('forbidden');
      expect(await codeOf(organisations.setDisabled(by, organisation.id, true))).toBe('forbidden');
      const asked = { name: 'x', admin: { email: 'x@x.example', displayName: 'x' } };
      expect(await codeOf(organisations.create(by, asked))).toBe('forbidden');
    }
  });
});

describe('a disabled organisation', () => {
  test('shuts out its people and sources at the next request; enabled, they sign in again', async () => {
    const organisation = await newOrganisation(identity);
    const nurse = await organisation.newUser('nurse');
    const { session } = await nurse.signIn();
    const { apiKey } = await organisation.newSource();
    const bySession = () => identity.services.authenticate({ kind: 'session', sessionId: session.id });
    const byKey = () => identity.services.authenticate({ kind: 'api_key', value: apiKey });
    await identity.services.organisations.setDisabled(caller(), organisation.id, true);
    expect(await codeOf(bySession())).toBe('unauthenticated');
    expect(await codeOf(byKey())).toBe('unauthenticated');
    expect(await codeOf(nurse.signIn())).toBe('unauthenticated');
    await identity.services.organisations.setDisabled(caller(), organisation.id, false);
    expect(await codeOf(bySession())).toBe('unauthenticated');
    expect(await codeOf(byKey())).toBe('done');
    expect(await codeOf(nurse.signIn())).toBe('done');
  });

  test('renaming keeps names apart', async () => {
    const [one, two] = [await newOne('Ett'), await newOne('Två')];
    const { organisations } = identity.services;
    expect(await codeOf(organisations.rename(caller(), two.organisation.id, { name: ' Ett ' }))).toBe(
      'conflict',
    );
    const renamed = await organisations.rename(caller(), one.organisation.id, { name: 'Tre' });
    expect(renamed.name).toBe('Tre');
    expect(await codeOf(organisations.rename(caller(), randomUUID(), { name: 'Fyra' }))).toBe('not_found');
  });
});

describe('admin-create, for the operator at the machine', () => {
  test('without an organisation it makes an installation administrator; entries name the operator', async () => {
    const email = `${randomUUID()}@x.example`;
    const made = await identity.services.createFirstAdmin({
      email,
      displayName: 'Op',
      password: 'a good long password',
    });
    expect(made).toMatchObject({
      role: 'installation_admin',
      organisationId: null,
      organisationCreated: false,
    });
    expect((await signIn(email, 'a good long password')).actor.role).toBe('installation_admin');
    expect((await identity.entries('user.changed')).at(-1)).toMatchObject({
      actor: { type: 'operator', id: null, role: null },
      organisation: null,
      detail: { target: made.userId, change: 'created installation_admin' },
    });
  });

  test('with one it makes the organisation, or one more administrator in it, and says which', async () => {
    const organisation = randomUUID();
    const ask = (email: string) =>
      identity.services.createFirstAdmin({ organisation, email, displayName: 'A' });
    const first = await ask(`${randomUUID()}@x.example`);
    const second = await ask(`${randomUUID()}@x.example`);
    expect(first).toMatchObject({ role: 'admin', organisationCreated: true });
    expect(second).toMatchObject({ organisationId: first.organisationId, organisationCreated: false });
  });

  test.each([
    [{ email: 'root@installation.example' }, 'conflict'],
    [{ email: 'nonsense' }, 'invalid_request'],
    [{ displayName: '' }, 'invalid_request'],
    [{ organisation: ' ' }, 'invalid_request'],
    [{ password: 'short' }, 'invalid_request'],
    [{ password: 'operator operator' }, 'invalid_request'],
  ])('%j is refused with %s', async (over, code) => {
    const asked = { email: `${randomUUID()}@x.example`, displayName: 'Operator', ...over };
    expect(await codeOf(identity.services.createFirstAdmin(asked))).toBe(code);
  });
});
