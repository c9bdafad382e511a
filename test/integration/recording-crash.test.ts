import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/core/events.ts';
import { type Identity, startIdentity } from '../support/identity.ts';
import { type KeptRows, openKeptRows } from '../support/kept-rows.ts';

/** Decision 0002: erasures and holds killed between any two steps, with the log away, and against each other. */
let identity: Identity;
let kept: KeptRows;
beforeAll(async () => {
  identity = await startIdentity();
  kept = await openKeptRows(identity);
});
afterEach(() => {
  kept.between.look = async () => undefined;
});
afterAll(async () => {
  await kept?.close();
  await identity?.close();
});

type Row = Awaited<ReturnType<KeptRows['add']>>;
type Kind = keyof KeptRows['effects'];

const eventOf = (kind: Kind, recording: string): AuditEvent => {
  const base = {
    id: randomUUID(),
    at: identity.clock.now(),
    outcome: 'success',
    actor: { type: 'user', id: kept.home.admin.id, role: 'admin' },
    organisation: kept.home.id,
    unit: null,
    recording,
    subject: null,
    purpose: null,
    session: null,
    request: null,
  } as const;
  if (kind === 'recording.erase')
    return { ...base, action: 'recording.erased', detail: { reason: 'x', decision: null, tombstone: true } };
  if (kind === 'recording.assign')
    return { ...base, action: 'recording.assigned', detail: { unit: kept.unit.id, before: null } };
  return kind === 'hold.place'
    ? { ...base, action: 'hold.placed', detail: { hold: randomUUID(), reason: 'complaint' } }
    : { ...base, action: 'hold.released', detail: { hold: randomUUID() } };
};

const placement = (recordingId: string) => ({
  id: randomUUID(),
  recordingId,
  placedBy: kept.compliance.actor.id,
  reason: 'complaint',
  placedAt: identity.clock.now(),
});

const nobodys = (): Promise<Row> => kept.add('stored', new Date(identity.clock.now()), null);

/** One of each kind on a recording of its own. */
const prepared: { readonly [K in Kind]: () => Promise<{ row: Row; payload: unknown }> } = {
  'recording.erase': async () => {
    const row = await kept.add();
    return {
      row,
      payload: { recording: row.id, organisation: row.organisation, generation: row.generation },
    };
  },
  'hold.place': async () => {
    const row = await kept.add();
    return { row, payload: placement(row.id) };
  },
  'hold.release': async () => {
    const row = await kept.add();
    const { id } = await kept.hold(row.id);
    return { row, payload: { id, at: identity.clock.now() } };
  },
  'recording.assign': async () => {
    const row = await nobodys();
    return { row, payload: { id: randomUUID(), recording: row.id, unit: kept.unit.id } };
  },
};
const kinds = Object.keys(prepared) as Kind[];

type At = 'announced' | 'claimed' | 'entered' | 'applied';

/** What a process leaves behind that was killed at this point of a change. */
const killAt = async (at: At, kind: Kind, row: Row, payload: unknown): Promise<AuditEvent> => {
  const event = eventOf(kind, row.id);
  const effect = kept.effects[kind];
  await identity.pending.insert({ eventId: event.id, kind, payload, createdAt: identity.clock.now() });
  if (at === 'announced') return event;
  if ('claim' in effect) await effect.claim?.(payload as never);
  if (at === 'claimed') return event;
  const { seq } = await identity.audit.append(event);
  if (at === 'applied') await effect.apply(payload as never, { seq });
  return event;
};

const done: { readonly [K in Kind]: object } = {
  'recording.erase': { status: 'erased', key: false, object: false, copy: false, holds: 0 },
  'hold.place': { status: 'stored', key: true, object: true, copy: true, holds: 1, open: 1 },
  'hold.release': { status: 'stored', key: true, object: true, copy: true, holds: 0, open: 0 },
  get 'recording.assign'() {
    return { status: 'stored', key: true, unit: kept.unit.id };
  },
};

describe.each(kinds)('killed during %s', (kind) => {
  test.each(['announced', 'claimed'] as const)('%s: it never happened', async (point) => {
    const { row, payload } = await prepared[kind]();
    const before = await kept.state(row);
    await killAt(point, kind, row, payload);
    await kept.changes.reconcile(0);
    expect(await kept.state(row)).toEqual(before);
    expect(await kept.pendingLeft()).toBe(0);
  });

  test('after its entry: it is completed, and doing it twice changes nothing more', async () => {
    const { row, payload } = await prepared[kind]();
    await killAt('entered', kind, row, payload);
    await kept.changes.reconcile(0);
    expect(await kept.state(row)).toMatchObject(done[kind]);
    await kept.effects[kind].apply(payload as never, { seq: 0 });
    expect(await kept.state(row)).toMatchObject(done[kind]);
    expect(await kept.pendingLeft()).toBe(0);
  });

  test('after its effect: it is only forgotten', async () => {
    const { row, payload } = await prepared[kind]();
    await killAt('applied', kind, row, payload);
    const applied = await kept.state(row);
    await kept.changes.reconcile(0);
    expect(await kept.state(row)).toEqual(applied);
    expect(await kept.pendingLeft()).toBe(0);
  });

  test('a sleeper who wakes after it was given up cannot tell it any more', async () => {
    const { row, payload } = await prepared[kind]();
    const before = await kept.state(row);
    const event = await killAt('claimed', kind, row, payload);
    await kept.changes.reconcile(0);
    await expect(identity.audit.append(event)).rejects.toMatchObject({ code: 'event_exists' });
    expect(await kept.state(row)).toEqual(before);
  });

  test('two processes reconcile at once: it is done once', async () => {
    const { row, payload } = await prepared[kind]();
    await killAt('entered', kind, row, payload);
    await Promise.all([kept.changes.reconcile(0), kept.changes.reconcile(0)]);
    expect(await kept.state(row)).toMatchObject(done[kind]);
    const other = await prepared[kind]();
    const before = await kept.state(other.row);
    await killAt('claimed', kind, other.row, other.payload);
    await Promise.all([kept.changes.reconcile(0), kept.changes.reconcile(0)]);
    expect(await kept.state(other.row)).toEqual(before);
    expect(await kept.pendingLeft()).toBe(0);
  });

  test('with the log away nothing is settled, and afterwards everything', async () => {
    const { row, payload } = await prepared[kind]();
    const before = await kept.state(row);
    await killAt('claimed', kind, row, payload);
    await identity.stopLog();
    try {
      await expect(kept.changes.reconcile(0)).rejects.toMatchObject({ code: 'log_unavailable' });
      expect(await kept.pendingLeft()).toBe(1);
    } finally {
      await identity.resumeLog();
    }
    await expect.poll(() => identity.audit.state()).toBe('ready');
    await kept.changes.reconcile(0);
    expect(await kept.state(row)).toEqual(before);
  });
});

test('killed between the key and the object: the object goes too', async () => {
  const { row, payload } = await prepared['recording.erase']();
  await killAt('entered', 'recording.erase', row, payload);
  await kept.recordings.claimErasure(row.id);
  await kept.recordings.erase(row.id, 1, new Date());
  expect(await kept.state(row)).toMatchObject({ status: 'erased', key: false, object: true });
  await kept.changes.reconcile(0);
  expect(await kept.state(row)).toMatchObject(done['recording.erase']);
});

test('one change that cannot be settled keeps no other waiting', async () => {
  const stuck = {
    eventId: randomUUID(),
    kind: 'no.such',
    payload: {},
    createdAt: identity.clock.now() - 1_000,
  };
  await identity.pending.insert(stuck);
  const { row, payload } = await prepared['recording.erase']();
  await killAt('entered', 'recording.erase', row, payload);
  await expect(kept.changes.reconcile(0)).rejects.toThrow('no effect is known');
  expect(await kept.state(row)).toMatchObject(done['recording.erase']);
  await identity.pending.remove(stuck.eventId);
});

test('with the log away nobody erases, holds, releases or assigns', async () => {
  const [one, two, three, four] = [await kept.add(), await kept.add(), await kept.add(), await nobodys()];
  const { id: hold } = await kept.hold(three.id);
  const states = () => Promise.all([one, two, three, four].map(kept.state));
  const before = await states();
  await identity.stopLog();
  try {
    for (const act of [
      () => kept.erase(one.id),
      () => kept.hold(two.id),
      () => kept.release(three.id, hold),
      () => kept.assign(four.id, kept.unit.id),
    ])
      await expect(act()).rejects.toMatchObject({ code: 'log_unavailable' });
  } finally {
    await identity.resumeLog();
  }
  await expect.poll(() => identity.audit.state()).toBe('ready');
  await kept.changes.reconcile(0);
  expect(await states()).toEqual(before);
  expect(await kept.pendingLeft()).toBe(0);
});

describe('hold against erasure', () => {
  test('a hold that comes between decision and claim wins, and the refusal is an entry', async () => {
    const row = await kept.add();
    kept.between.look = async () => {
      kept.between.look = async () => undefined;
      await kept.hold(row.id);
    };
    await expect(kept.erase(row.id)).rejects.toMatchObject({ code: 'held' });
    expect(await kept.told(row.id)).toEqual(['hold.placed', 'recording.erase_denied']);
    expect(await kept.state(row)).toMatchObject(done['hold.place']);
    expect(await kept.pendingLeft()).toBe(0);
  });

  test.each<[string, () => (id: string) => Promise<unknown>, string]>([
    ['a second erasure', () => kept.erase, 'recording.erase_denied'],
    ['a hold', () => kept.hold, 'access.denied'],
  ])('%s that finds it taken by an erasure is refused, with an entry', async (_name, act, action) => {
    const row = await kept.add();
    kept.between.look = async () => {
      kept.between.look = async () => undefined;
      await kept.erase(row.id);
    };
    const code = action === 'access.denied' ? 'conflict' : 'not_found';
    await expect(act()(row.id)).rejects.toMatchObject({ code });
    expect(await kept.told(row.id)).toEqual(['recording.erased', action]);
    expect(await kept.state(row)).toMatchObject(done['recording.erase']);
    expect(await kept.pendingLeft()).toBe(0);
  });

  test('at once, again and again: one of them wins, and each is told', async () => {
    const wins = { erased: 0, held: 0 };
    for (let round = 0; round < 30; round += 1) {
      const row = await kept.add();
      const [erased, held] = await Promise.allSettled([kept.erase(row.id), kept.hold(row.id)]);
      expect([erased.status, held.status].sort()).toEqual(['fulfilled', 'rejected']);
      const winner = erased.status === 'fulfilled' ? 'recording.erase' : 'hold.place';
      wins[winner === 'hold.place' ? 'held' : 'erased'] += 1;
      expect(await kept.state(row)).toMatchObject(done[winner]);
      expect(await kept.told(row.id)).toHaveLength(2);
    }
    expect(wins.erased + wins.held).toBe(30);
    expect(await kept.pendingLeft()).toBe(0);
  });
});

describe('whose it is', () => {
  test('given to two units at once: never both, and the log says which', async () => {
    const other = await kept.home.newUnit();
    for (let round = 0; round < 10; round += 1) {
      const row = await nobodys();
      const asked = [kept.unit.id, other.id];
      const answers = await Promise.allSettled(asked.map((unit) => kept.assign(row.id, unit)));
      const given = asked.filter((_, n) => answers[n]?.status === 'fulfilled');
      for (const answer of answers)
        if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ code: 'conflict' });
      expect(given.length).toBeLessThan(2);
      expect((await kept.state(row)).unit).toBe(given[0] ?? null);
      const told = (await kept.told(row.id)).toSorted();
      expect(told).toEqual(
        given.length === 1 ? ['access.denied', 'recording.assigned'] : ['access.denied', 'access.denied'],
      );
    }
    expect(await kept.pendingLeft()).toBe(0);
  });

  test('an older entry that is carried out late does not undo a newer one', async () => {
    const row = await nobodys();
    const effect = kept.effects['recording.assign'];
    const other = await kept.home.newUnit();
    await effect.apply({ id: randomUUID(), recording: row.id, unit: other.id }, { seq: 12 });
    await effect.apply({ id: randomUUID(), recording: row.id, unit: kept.unit.id }, { seq: 11 });
    expect((await kept.state(row)).unit).toBe(other.id);
  });

  test('erased between the decision and the claim: refused, with an entry', async () => {
    const row = await nobodys();
    kept.between.look = async () => {
      kept.between.look = async () => undefined;
      await kept.erase(row.id);
    };
    await expect(kept.assign(row.id, kept.unit.id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await kept.told(row.id)).toEqual(['recording.erased', 'access.denied']);
    expect(await kept.pendingLeft()).toBe(0);
  });

  test('erased between its entry and its effect: the tombstone stays as it is', async () => {
    const row = await nobodys();
    const payload = { id: randomUUID(), recording: row.id, unit: kept.unit.id };
    await killAt('entered', 'recording.assign', row, payload);
    await kept.erase(row.id);
    await kept.changes.reconcile(0);
    expect(await kept.state(row)).toMatchObject({ status: 'erased', unit: null });
    expect(await kept.pendingLeft()).toBe(0);
  });
});
