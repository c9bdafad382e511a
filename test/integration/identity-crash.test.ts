import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/core/events.ts';
import type { IdentityChanges } from '../../src/services/identity-changes.ts';
import { type Identity, newOrganisation, startIdentity, type TestOrganisation } from '../support/identity.ts';

let identity: Identity;
let home: TestOrganisation;

beforeAll(async () => {
  identity = await startIdentity();
  home = await newOrganisation(identity);
});
afterAll(() => identity.close());

/** Everything about identity that a change could have touched. */
const state = async (): Promise<string> => {
  const tables = ['organisation', 'care_unit', 'app_user', 'membership', 'source', 'session'];
  const rows = [];
  for (const table of tables)
    rows.push((await identity.superuser.query(`SELECT * FROM ${table} ORDER BY 1, 2`)).rows);
  return JSON.stringify(rows);
};

const eventOf = (target: string): AuditEvent => ({
  id: randomUUID(),
  at: identity.clock.now(),
  action: 'user.changed',
  outcome: 'success',
  actor: { type: 'user', id: home.admin.id, role: 'admin' },
  organisation: home.id,
  unit: null,
  recording: null,
  subject: null,
  purpose: null,
  session: null,
  request: null,
  detail: { target, change: 'test' },
});

type Kind = keyof IdentityChanges;
type Interrupted<K extends Kind> = { readonly kind: K; readonly payload: IdentityChanges[K] };
type At = 'announced' | 'claimed' | 'entered' | 'applied';

/** What a process leaves behind that was killed at this point of a change. */
const killAt = async <K extends Kind>(at: At, { kind, payload }: Interrupted<K>): Promise<void> => {
  const event = eventOf(randomUUID());
  const effect = identity.effects[kind];
  await identity.pending.insert({ eventId: event.id, kind, payload, createdAt: identity.clock.now() });
  if (at === 'announced') return;
  await effect.claim?.(payload);
  if (at === 'claimed') return;
  const { seq } = await identity.audit.append(event);
  if (at === 'applied') await effect.apply(payload, { seq });
};

const account = () => ({
  userId: randomUUID(),
  email: `${randomUUID()}@x.example`,
  displayName: 'X',
  passwordHash: '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g',
});
const at = () => identity.clock.now();
const by = () => ({ actor: eventOf('x').actor, organisation: home.id, request: null });
const secrets = () => ({
  clientSecretHash: randomUUID().replaceAll('-', '').repeat(2),
  apiKeyHash: randomUUID().replaceAll('-', '').repeat(2),
});
const sourceSettings = {
  name: 'S',
  defaultUnitId: null,
  announcement: 'v1',
  retentionClass: 'quality',
  legalBasis: 'consent',
  signingKey: null,
};

/** One of each kind, on things of its own. */
const changes: { readonly [K in Kind]: () => Promise<IdentityChanges[K]> } = {
  'organisation.create': async () => {
    const id = randomUUID();
    return {
      ...account(),
      id,
      role: 'admin',
      name: randomUUID(),
      at: at(),
      adminEvent: { ...eventOf(id), organisation: id },
    };
  },
  'organisation.rename': async () => ({ id: (await newOrganisation(identity)).id, name: randomUUID() }),
  'organisation.switch': async () => ({ id: (await newOrganisation(identity)).id, disabledAt: at() }),
  'policy.change': async () => ({
    organisationId: (await newOrganisation(identity)).id,
    policies: { quality: 30 },
  }),
  'unit.create': async () => ({ id: randomUUID(), organisationId: home.id, name: randomUUID(), at: at() }),
  'unit.rename': async () => ({ id: (await home.newUnit()).id, organisationId: home.id, name: randomUUID() }),
  'unit.switch': async () => ({ id: (await home.newUnit()).id, disabledAt: at() }),
  'user.create': async () => {
    const { id } = await home.newUnit();
    return { ...account(), role: 'nurse', organisationId: home.id, units: [id], at: at() };
  },
  'user.change': async () => {
    const [before, after] = [await home.newUnit(), await home.newUnit()];
    const { id } = await home.newUser('nurse', [before.id]);
    return {
      userId: id,
      email: `${randomUUID()}@x.example`,
      displayName: 'Y',
      add: [after.id],
      remove: [before.id],
    };
  },
  'user.password': async () => {
    const nurse = await home.newUser('nurse');
    await nurse.signIn();
    return {
      userId: nurse.id,
      passwordHash: account().passwordHash,
      initial: true,
      keepSession: null,
      at: at(),
      by: by(),
    };
  },
  'user.disable': async () => {
    const nurse = await home.newUser('nurse');
    await nurse.signIn();
    return { userId: nurse.id, at: at(), by: by() };
  },
  'user.enable': async () => {
    const nurse = await home.newUser('nurse');
    await identity.services.userAccess.disable(home.caller(), nurse.id);
    return { userId: nurse.id };
  },
  'source.create': async () => {
    const id = randomUUID();
    return { ...sourceSettings, ...secrets(), id, clientId: id, organisationId: home.id, at: at() };
  },
  'source.change': async () => ({ id: (await home.newSource()).source.id, columns: { announcement: 'v9' } }),
  'source.secrets': async () => ({ id: (await home.newSource()).source.id, ...secrets(), at: at() }),
  'source.switch': async () => ({ id: (await home.newSource()).source.id, disabledAt: at() }),
  'session.end': async () => {
    const { session } = await (await home.newUser('nurse')).signIn();
    return { id: session.id, reason: 'logout', at: at() };
  },
};
const kinds = Object.keys(changes) as Kind[];
const pendingLeft = async () => (await identity.superuser.query('SELECT 1 FROM pending_change')).rowCount;

describe.each(kinds)('killed during %s', (kind) => {
  test('before its entry: it never happened', async () => {
    for (const point of ['announced', 'claimed'] as const) {
      const payload = await changes[kind]();
      const before = await state();
      await killAt(point, { kind, payload } as never);
      await identity.changes.reconcile(0);
      if (kind === 'session.end' && point === 'claimed') expect(await state()).not.toBe(before);
      else expect(await state()).toBe(before);
      expect(await pendingLeft()).toBe(0);
    }
  });

  test('after its entry: it is completed, and doing it twice changes nothing more', async () => {
    const payload = await changes[kind]();
    const before = await state();
    await killAt('entered', { kind, payload } as never);
    await identity.changes.reconcile(0);
    const completed = await state();
    expect(completed).not.toBe(before);
    expect(await pendingLeft()).toBe(0);
    await identity.effects[kind].apply(payload as never, { seq: 0 });
    expect(await state()).toBe(completed);
  });

  test('after its effect: it is only forgotten', async () => {
    const payload = await changes[kind]();
    await killAt('applied', { kind, payload } as never);
    const applied = await state();
    await identity.changes.reconcile(0);
    expect(await state()).toBe(applied);
    expect(await pendingLeft()).toBe(0);
  });
});

describe('with the log away nothing changes', () => {
  test('every administrative act is refused, and undone where it had been prepared', async () => {
    const { users, userAccess, units, sources, policies } = identity.services;
    const [nurse, unit, { source }] = [
      await home.newUser('nurse'),
      await home.newUnit(),
      await home.newSource(),
    ];
    const caller = home.caller();
    const before = await state();
    await identity.stopLog();
    try {
      const acts: (() => Promise<unknown>)[] = [
        () => users.create(caller, { email: 'late@x.example', displayName: 'X', role: 'nurse' }),
        () => users.change(caller, nurse.id, { displayName: 'late' }),
        () => userAccess.disable(caller, nurse.id),
        () => userAccess.resetPassword(caller, nurse.id),
        () => units.create(caller, { name: 'late' }),
        () => units.rename(caller, unit.id, { name: 'later' }),
        () => units.setDisabled(caller, unit.id, true),
        () => sources.change(caller, source.id, { name: 'late' }),
        () => sources.replaceSecrets(caller, source.id),
        () => sources.setDisabled(caller, source.id, true),
        () => policies.change(caller, { quality: 45 }),
      ];
      for (const act of acts) await expect(act()).rejects.toMatchObject({ code: 'log_unavailable' });
    } finally {
      await identity.resumeLog();
    }
    await expect.poll(() => identity.audit.state()).toBe('ready');
    await identity.changes.reconcile(0);
    expect(await state()).toBe(before);
  });

  test('a refusal that cannot be written is no answer either', async () => {
    await identity.stopLog();
    try {
      const rename = identity.services.units.rename(home.caller(), randomUUID(), { name: 'x' });
      await expect(rename).rejects.toMatchObject({ code: 'log_unavailable' });
    } finally {
      await identity.resumeLog();
    }
  });
});
