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

describe('care units', () => {
  test('are made, renamed and disabled, each with an entry that names the unit', async () => {
    const unit = await home.newUnit('Akuten');
    await identity.services.units.rename(home.caller(), unit.id, { name: 'Akutmottagningen' });
    await identity.services.units.setDisabled(home.caller(), unit.id, true);
    await identity.services.units.setDisabled(home.caller(), unit.id, true);
    const entries = (await identity.entries('unit.changed')).filter((entry) => entry.unit === unit.id);
    expect(entries.map(({ detail }) => detail.change)).toEqual(['created', 'name', 'disabled']);
    expect(
      entries.every(({ organisation, actor }) => organisation === home.id && actor.id === home.admin.id),
    ).toBe(true);
    expect(JSON.stringify(entries)).not.toContain('Akut');
    expect(await identity.tables.units.find(unit.id)).toMatchObject({ name: 'Akutmottagningen' });
  });

  test('one name is one unit within an organisation, and free in another', async () => {
    const name = randomUUID();
    const codes = await Promise.all(Array.from({ length: 6 }, () => codeOf(home.newUnit(name))));
    expect(codes.filter((code) => code === 'done').length).toBeLessThanOrEqual(1);
    expect(codes.filter((code) => code !== 'done' && code !== 'conflict')).toEqual([]);
    await codeOf(home.newUnit(name));
    expect(await codeOf(home.newUnit(name))).toBe('conflict');
    expect(await codeOf(other.newUnit(name))).toBe('done');
    const second = await home.newUnit();
    expect(await codeOf(identity.services.units.rename(home.caller(), second.id, { name }))).toBe('conflict');
  });

  test("another organisation's unit is not there", async () => {
    const foreign = await other.newUnit();
    const { units } = identity.services;
    for (const id of [foreign.id, randomUUID()]) {
      expect(await codeOf(units.rename(home.caller(), id, { name: 'mine' }))).toBe('not_found');
      expect(await codeOf(units.setDisabled(home.caller(), id, true))).toBe('not_found');
    }
    const { items } = await units.list(home.caller(), { limit: 200 });
    expect(items.map(({ id }) => id)).not.toContain(foreign.id);
    expect(await identity.tables.units.find(foreign.id)).toMatchObject({ disabledAt: null });
  });
});

describe('sources', () => {
  test('change within the own organisation only', async () => {
    const { source } = await other.newSource();
    const { sources } = identity.services;
    for (const id of [source.id, randomUUID()]) {
      expect(await codeOf(sources.change(home.caller(), id, { name: 'mine' }))).toBe('not_found');
      expect(await codeOf(sources.replaceSecrets(home.caller(), id))).toBe('not_found');
      expect(await codeOf(sources.setDisabled(home.caller(), id, true))).toBe('not_found');
    }
    const { items } = await sources.list(home.caller(), { limit: 200 });
    expect(items.map(({ id }) => id)).not.toContain(source.id);
  });

  test('a default unit is one of the own organisation, and enabled', async () => {
    const { source } = await home.newSource();
    const [own, foreign, disabled] = [await home.newUnit(), await other.newUnit(), await home.newUnit()];
    await identity.services.units.setDisabled(home.caller(), disabled.id, true);
    const set = (defaultUnit: string | null) =>
      identity.services.sources.change(home.caller(), source.id, { defaultUnit });
    expect(await codeOf(set(foreign.id))).toBe('invalid_request');
    expect(await codeOf(set(disabled.id))).toBe('invalid_request');
    expect(await set(own.id)).toMatchObject({ defaultUnitId: own.id });
    expect(await set(null)).toMatchObject({ defaultUnitId: null });
    const entries = (await identity.entries('source.changed')).filter(
      ({ detail }) => detail.target === source.id,
    );
    expect(entries.map(({ detail }) => detail.change)).toEqual(['created', 'defaultUnitId', 'defaultUnitId']);
  });

  test('what is stored is what was asked for', async () => {
    const { source } = await home.newSource('Växel Nord');
    const change = {
      name: 'Växel Syd',
      announcement: 'v2',
      retentionClass: 'journal',
      legalBasis: 'consent',
    } as const;
    await identity.services.sources.change(home.caller(), source.id, change);
    expect(await identity.tables.sources.find(source.id)).toMatchObject({ ...source, ...change });
  });
});

describe('policies', () => {
  test('are read and changed within what the law leaves open, with the numbers in the entry', async () => {
    const { policies } = identity.services;
    const before = await policies.read(home.caller());
    const after = await policies.change(home.caller(), { quality: 60 });
    expect(after).toEqual({ ...before, quality: 60 });
    expect(await policies.read(home.caller())).toEqual(after);
    expect((await identity.entries('policy.changed')).at(-1)).toMatchObject({
      organisation: home.id,
      detail: { target: home.id, change: `quality ${before.quality} > 60 days` },
    });
    expect(await policies.read(other.caller())).toEqual(before);
  });

  test.each([
    { journal: 3652 },
    { journal: 0 },
    { quality: 0 },
    { quality: -1 },
    { quality: 1.5 },
    { complaint: 1e9 },
  ])('%j is refused (PDL-8)', async (asked) => {
    expect(await codeOf(identity.services.policies.change(home.caller(), asked))).toBe('invalid_request');
  });

  test('nothing changed is nothing written', async () => {
    const before = await identity.entries('policy.changed');
    const current = await identity.services.policies.read(home.caller());
    await identity.services.policies.change(home.caller(), current);
    expect(await identity.entries('policy.changed')).toHaveLength(before.length);
  });
});

test.each(['+46701740605', 'v070-174 06 05', '1912-12-12-1212', 'a name with spaces', '\u202ev1', ''])(
  'a source’s announcement %j is no version of one: refused, as in the metadata of an upload',
  async (announcement) => {
    const { source } = await home.newSource();
    const change = identity.services.sources.change(home.caller(), source.id, { announcement });
    expect(await codeOf(change)).toBe('invalid_request');
  },
);

describe('one’s own password', () => {
  const change = (actor: never, currentPassword: string, newPassword: string) =>
    identity.services.changePassword({
      actor,
      request: randomUUID(),
      route: '/test',
      address: '192.0.2.9',
      currentPassword,
      newPassword,
    });

  test('the other sessions end, this one stays', async () => {
    const nurse = await home.newUser('nurse');
    const [here, elsewhere] = [await nurse.signIn(), await nurse.signIn()];
    await change(here.actor as never, nurse.password, 'en alldeles ny mening');
    const use = (sessionId: string) => codeOf(identity.services.authenticate({ kind: 'session', sessionId }));
    expect(await use(here.session.id)).toBe('done');
    expect(await use(elsewhere.session.id)).toBe('unauthenticated');
    expect(await codeOf(nurse.signIn())).toBe('unauthenticated');
    expect(await codeOf(home.signIn(nurse.email, 'en alldeles ny mening'))).toBe('done');
    expect((await identity.entries('session.closed')).at(-1)).toMatchObject({
      session: elsewhere.session.id,
      detail: { reason: 'password_changed' },
    });
  });

  test('a session left open does not give the account away: wrong guesses are entries and are slowed', async () => {
    const nurse = await home.newUser('nurse');
    const { actor } = await nurse.signIn();
    const guess = () => codeOf(change(actor as never, 'a guess', 'en alldeles ny mening'));
    const before = (await identity.entries('access.denied')).length;
    const codes: string[] = [];
    await identity.clock.standStill(async () => {
      for (let i = 0; i < 12; i += 1) codes.push(await guess());
    });
    expect(codes.slice(0, 10)).toEqual(Array(10).fill('forbidden'));
    expect(codes.slice(10)).toEqual(['rate_limited', 'rate_limited']);
    expect((await identity.entries('access.denied')).slice(before)).toHaveLength(10);
  });

  test.each(['short', 'password password', 'aaaaaaaaaaaaaaaaaa'])('%j is no password', async (password) => {
    const nurse = await home.newUser('nurse');
    const { actor } = await nurse.signIn();
    expect(await codeOf(change(actor as never, nurse.password, password))).toBe('invalid_request');
  });
});

describe('whom the vault takes one for', () => {
  test('a nurse with her units, an administrator, a source', async () => {
    const unit = await home.newUnit('Vårdcentralen');
    const nurse = await home.newUser('nurse', [unit.id]);
    const { actor } = await nurse.signIn();
    const { describeActor, authenticate } = identity.services;
    expect(await describeActor(actor)).toEqual({
      id: nurse.id,
      type: 'user',
      role: 'nurse',
      name: 'nurse',
      email: nurse.email,
      organisation: { id: home.id, name: `Organisation ${home.number}` },
      units: [{ id: unit.id, name: 'Vårdcentralen' }],
      passwordChangeRequired: false,
    });
    const { apiKey, source } = await home.newSource('PBX');
    expect(await describeActor(await authenticate({ kind: 'api_key', value: apiKey }))).toMatchObject({
      id: source.id,
      type: 'source',
      name: 'PBX',
      email: null,
      units: [],
    });
  });
});
