import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Identity, newOrganisation, startIdentity, type TestOrganisation } from '../support/identity.ts';
import { bearer, buildIdentityApp, type IdentityApp, signInOver } from '../support/identity-app.ts';

type Method = 'GET' | 'POST' | 'PATCH';
type Who = 'admin' | 'nurse' | 'compliance' | 'installation_admin' | 'installation_auditor' | 'source';

let identity: Identity;
let home: TestOrganisation;
let other: TestOrganisation;
let app: IdentityApp;
const tokens = {} as Record<Who, string>;

const ask = (method: Method, url: string, token?: string, payload?: object) =>
  app.inject({
    method,
    url: `/v1/admin${url}`,
    headers: token === undefined ? {} : bearer(token),
    ...(payload === undefined ? {} : { payload }),
  });
const asAdmin = (method: Method, url: string, payload?: object) => ask(method, url, tokens.admin, payload);

beforeAll(async () => {
  identity = await startIdentity();
  [home, other] = [await newOrganisation(identity), await newOrganisation(identity)];
  ({ app } = await buildIdentityApp(identity));
  const tokenOf = async (person: { email: string; password: string }) =>
    (await signInOver(app, person)).accessToken;
  tokens.admin = await tokenOf(home.admin);
  tokens.nurse = await tokenOf(await home.newUser('nurse'));
  tokens.compliance = await tokenOf(await home.newUser('compliance'));
  const email = 'root@installation.example';
  const root = await identity.services.createFirstAdmin({ email, displayName: 'Root' });
  await identity.chosen(root.userId);
  tokens.installation_admin = await tokenOf({ email, password: root.initialPassword });
  const auditor = { email: 'auditor@installation.example', displayName: 'A', role: 'installation_auditor' };
  const made = await ask('POST', '/users', tokens.installation_admin, auditor);
  await identity.chosen(made.json().user.id);
  tokens.installation_auditor = await tokenOf({
    email: auditor.email,
    password: made.json().initialPassword,
  });
  tokens.source = (await home.newSource()).apiKey;
});
afterAll(async () => {
  await app.close();
  await identity.close();
});

/** Every route of administration: what it takes, and who may use it at all. */
const id = randomUUID();
const routes: [Method, string, object | undefined, Who[]][] = [
  [
    'POST',
    '/users',
    { email: 'x@x.example', displayName: 'X', role: 'nurse' },
    ['admin', 'installation_admin'],
  ],
  ['GET', '/users', undefined, ['admin', 'installation_admin']],
  ['PATCH', `/users/${id}`, { displayName: 'X' }, ['admin', 'installation_admin']],
  ['POST', `/users/${id}/reset-password`, undefined, ['admin', 'installation_admin']],
  ['POST', `/users/${id}/disable`, undefined, ['admin', 'installation_admin']],
  ['POST', `/users/${id}/enable`, undefined, ['admin', 'installation_admin']],
  ['POST', '/units', { name: 'X' }, ['admin']],
  ['GET', '/units', undefined, ['admin']],
  ['PATCH', `/units/${id}`, { name: 'X' }, ['admin']],
  ['POST', `/units/${id}/disable`, undefined, ['admin']],
  ['POST', `/units/${id}/enable`, undefined, ['admin']],
  ['POST', '/sources', { name: 'X', retentionClass: 'quality', legalBasis: 'consent' }, ['admin']],
  ['GET', '/sources', undefined, ['admin']],
  ['PATCH', `/sources/${id}`, { name: 'X' }, ['admin']],
  ['POST', `/sources/${id}/replace-secrets`, undefined, ['admin']],
  ['POST', `/sources/${id}/disable`, undefined, ['admin']],
  ['POST', `/sources/${id}/enable`, undefined, ['admin']],
  [
    'POST',
    '/organisations',
    { name: 'X', admin: { email: 'y@x.example', displayName: 'X' } },
    ['installation_admin'],
  ],
  ['GET', '/organisations', undefined, ['installation_admin']],
  ['PATCH', `/organisations/${id}`, { name: 'X' }, ['installation_admin']],
  ['POST', `/organisations/${id}/disable`, undefined, ['installation_admin']],
  ['POST', `/organisations/${id}/enable`, undefined, ['installation_admin']],
  ['GET', '/policies', undefined, ['admin']],
  ['PATCH', '/policies', { retention: {} }, ['admin']],
];

describe.each(routes)('%s %s', (method, url, payload, allowed) => {
  test('is closed without a credential, and to every role that is not named (PDL-2)', async () => {
    expect((await ask(method, url, undefined, payload)).statusCode).toBe(401);
    for (const who of Object.keys(tokens) as Who[]) {
      if (allowed.includes(who)) continue;
      const before = (await identity.entries('access.denied')).length;
      const answer = await ask(method, url, tokens[who], payload);
      expect([who, answer.statusCode]).toEqual([who, 403]);
      expect((await identity.entries('access.denied')).slice(before)).toMatchObject([
        { detail: { route: expect.stringMatching(/^\/v1\/admin\//), reason: 'role' }, actor: { role: who } },
      ]);
    }
  });
});

describe.each(routes.filter(([, url]) => url.includes(id)))('%s %s', (method, url, payload, allowed) => {
  test('answers an id that is not there with 404, after an entry, and with no more', async () => {
    for (const who of allowed) {
      const before = (await identity.entries('access.denied')).length;
      const answer = await ask(method, url, tokens[who], payload);
      expect(answer.statusCode).toBe(404);
      expect(answer.json()).toMatchObject({ code: 'not_found', detail: 'There is nothing by this id.' });
      const [entry, ...others] = (await identity.entries('access.denied')).slice(before);
      expect(others).toEqual([]);
      expect(entry).toMatchObject({ detail: { reason: 'unknown', route: expect.stringContaining(':id') } });
    }
  });
});

test('every route of administration is in the table above', () => {
  const known = routes.map(([method, url]) => `${method} /v1/admin${url.replace(id, '{id}')}`);
  const spec = app.swagger() as { paths: Record<string, Record<string, unknown>> };
  const existing = Object.entries(spec.paths)
    .filter(([path]) => path.startsWith('/v1/admin'))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((m) => `${m.toUpperCase()} ${path.replace(/\/$/, '')}`),
    );
  expect(existing.toSorted()).toEqual(known.toSorted());
});

describe('through the interface', () => {
  test('a unit, a nurse in it, and her sign-in', async () => {
    const unit = await asAdmin('POST', '/units', { name: 'Vårdcentralen Norr' });
    expect(unit.statusCode).toBe(201);
    expect(unit.json()).toEqual({
      id: expect.any(String),
      name: 'Vårdcentralen Norr',
      createdAt: expect.stringMatching(/Z$/),
      disabledAt: null,
    });
    const email = 'Nurse.One@x.example';
    const made = await asAdmin('POST', '/users', {
      email,
      displayName: 'Nurse',
      role: 'nurse',
      units: [unit.json().id],
    });
    expect(made.statusCode).toBe(201);
    expect(made.headers['cache-control']).toBe('private, no-store');
    const { user, initialPassword } = made.json();
    expect(user).toMatchObject({
      email: email.toLowerCase(),
      role: 'nurse',
      organisation: home.id,
      units: [unit.json().id],
    });
    expect(Object.keys(user)).not.toContain('passwordHash');
    const { accessToken } = await signInOver(app, { email, password: initialPassword });
    const me = await app.inject({ url: '/v1/auth/me', headers: bearer(accessToken) });
    expect(me.json().units).toEqual([{ id: unit.json().id, name: 'Vårdcentralen Norr' }]);
    const disabled = await asAdmin('POST', `/users/${user.id}/disable`);
    expect(disabled.json().disabledAt).toMatch(/Z$/);
    expect((await app.inject({ url: '/v1/auth/me', headers: bearer(accessToken) })).statusCode).toBe(401);
    expect((await asAdmin('POST', `/users/${user.id}/enable`)).json().disabledAt).toBeNull();
    const reset = await asAdmin('POST', `/users/${user.id}/reset-password`);
    await signInOver(app, { email, password: reset.json().initialPassword });
    expect((await asAdmin('PATCH', `/users/${user.id}`, { units: [] })).json().units).toEqual([]);
  });
});

describe('secrets are shown once', () => {
  test('of a source', async () => {
    const settings = { name: 'PBX', retentionClass: 'quality', legalBasis: 'public_task' };
    const made = await asAdmin('POST', '/sources', settings);
    expect(made.statusCode).toBe(201);
    const { source, apiKey, clientSecret } = made.json();
    expect(source).toMatchObject({ ...settings, defaultUnit: null, announcement: 'unknown' });
    expect(apiKey).toMatch(/^cv_key_/);
    expect(clientSecret).toMatch(/^cv_sec_/);
    const list = await asAdmin('GET', '/sources?limit=200');
    expect(list.body).not.toMatch(/cv_(key|sec)_/);
    expect(list.json().items.map((item: { id: string }) => item.id)).toContain(source.id);
    const replaced = await asAdmin('POST', `/sources/${source.id}/replace-secrets`);
    expect(replaced.json().apiKey).not.toBe(apiKey);
    const changed = await asAdmin('PATCH', `/sources/${source.id}`, {
      announcement: 'v2',
      retentionClass: 'complaint',
    });
    expect(changed.json()).toMatchObject({ announcement: 'v2', retentionClass: 'complaint' });
    expect((await asAdmin('POST', `/sources/${source.id}/disable`)).json().disabledAt).toMatch(/Z$/);
  });

  test('of the first administrator of an organisation', async () => {
    const admin = { email: 'first@new.example', displayName: 'First' };
    const made = await ask('POST', '/organisations', tokens.installation_admin, { name: 'Ny region', admin });
    expect(made.statusCode).toBe(201);
    const { organisation, admin: account } = made.json();
    await identity.chosen(account.id);
    const { accessToken } = await signInOver(app, { email: admin.email, password: account.initialPassword });
    expect((await ask('GET', '/users', accessToken)).json().items).toHaveLength(1);
    const disabled = await ask(
      'POST',
      `/organisations/${organisation.id}/disable`,
      tokens.installation_admin,
    );
    expect(disabled.json().disabledAt).toMatch(/Z$/);
    expect((await ask('GET', '/users', accessToken)).statusCode).toBe(401);
  });
});

describe('an administrator’s own organisation', () => {
  test('has policies', async () => {
    const before = (await asAdmin('GET', '/policies')).json();
    const changed = await asAdmin('PATCH', '/policies', { retention: { quality: 45 } });
    expect(changed.json()).toEqual({ retention: { ...before.retention, quality: 45 } });
    const undercut = await asAdmin('PATCH', '/policies', { retention: { journal: 30 } });
    expect(undercut.json()).toMatchObject({ status: 400, faults: [{ where: 'body/retention/journal' }] });
  });

  test("another organisation's things are not there", async () => {
    const [unit, nurse, { source }] = [
      await other.newUnit(),
      await other.newUser('nurse'),
      await other.newSource(),
    ];
    for (const [method, url, payload] of [
      ['PATCH', `/units/${unit.id}`, { name: 'mine' }],
      ['POST', `/units/${unit.id}/disable`, undefined],
      ['PATCH', `/users/${nurse.id}`, { displayName: 'mine' }],
      ['POST', `/users/${nurse.id}/reset-password`, undefined],
      ['PATCH', `/sources/${source.id}`, { name: 'mine' }],
      ['POST', `/sources/${source.id}/replace-secrets`, undefined],
    ] as const)
      expect((await asAdmin(method, url, payload)).statusCode).toBe(404);
  });
});

describe('what nobody should send', () => {
  test.each<[Method, string, object]>([
    ['POST', '/users', { email: 'a@b.se', displayName: 'X', role: 'nurse', organisation: randomUUID() }],
    ['POST', '/users', { email: 'a@b.se', displayName: 'X', role: 'source' }],
    ['POST', '/users', { email: 'a@b.se', displayName: 'X', role: 'root' }],
    ['POST', '/users', { email: 'a@b.se', displayName: 'X', role: 'nurse', units: ['1'] }],
    ['POST', '/users', { email: 'a@b.se', displayName: 'X', role: 'nurse', password: 'chosen by an admin' }],
    ['PATCH', `/users/${id}`, { role: 'admin' }],
    ['PATCH', `/users/${id}`, { disabledAt: null }],
    ['POST', '/units', {}],
    ['POST', '/units', { name: 'x'.repeat(201) }],
    ['POST', '/units', { name: 5 }],
    ['POST', '/sources', { name: 'X' }],
    ['POST', '/sources', { name: 'X', retentionClass: 'for ever', legalBasis: 'consent' }],
    ['PATCH', '/policies', { retention: { quality: '30' } }],
    ['PATCH', '/policies', { quality: 30 }],
  ])('%s %s %j is a 400', async (method, url, payload) => {
    const answer = await asAdmin(method, url, payload);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().faults).not.toEqual([]);
  });

  test.each([
    'limit=0',
    'limit=201',
    'limit=-1',
    'limit=1e2',
    'limit=x',
    'cursor=x',
    'cursor=%00',
    'offset=5',
    'limit=1&limit=2',
  ])('a list by ?%s is a 400', async (query) => {
    expect((await asAdmin('GET', `/users?${query}`)).statusCode).toBe(400);
  });

  test.each([
    '/users/1',
    '/users/../units',
    `/users/${'a'.repeat(500)}`,
    '/units/%00',
    `/units/${id.toUpperCase()}`,
  ])('PATCH %s is no way in', async (url) => {
    expect([400, 404, 414]).toContain((await asAdmin('PATCH', url, { name: 'X' })).statusCode);
  });
});
