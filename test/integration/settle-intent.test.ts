import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/core/events.ts';
import { intentEvent } from '../../src/services/intent-event.ts';
import { createSettleIntent, type SettleIntent } from '../../src/services/settle-intent.ts';
import { createStoredFlags } from '../../src/services/stored-flags.ts';
import { envelopeKeyOf, objectKeyOf } from '../../src/storage/object-key.ts';
import type { RecordingRow } from '../../src/storage/recording-table.ts';
import { type Identity, startIdentity } from '../support/identity.ts';
import { type KeptRows, openKeptRows } from '../support/kept-rows.ts';

/** Decision 0001: whoever settles an upload, and how many do so at once, the log is the judge. */
let identity: Identity;
let kept: KeptRows;
let settle: SettleIntent;
beforeAll(async () => {
  identity = await startIdentity();
  kept = await openKeptRows(identity);
  const { audit, clock } = identity;
  const removal = { objects: kept.objects.store, objectKeyOf, envelopeKeyOf };
  settle = createSettleIntent({ ...removal, recordings: kept.recordings, audit, log: audit, now: clock.now });
});
afterAll(async () => {
  await kept?.close();
  await identity?.close();
});

const left = async (status: 'intent' | 'sealed') => {
  const added = await kept.add(status);
  return { added, row: (await kept.recordings.find(added.id)) as RecordingRow };
};

const storedEvent = (row: RecordingRow): AuditEvent => ({
  ...intentEvent(row, identity.clock.now(), null),
  action: 'recording.stored',
  outcome: 'success',
  detail: {
    bytes: 100,
    sealedSha256: 'a'.repeat(64),
    envelopeSha256: 'b'.repeat(64),
    durationMs: null,
    flags: [],
  },
});

const GONE = { open: 0, object: false, copy: false };

test.each(['intent', 'sealed'] as const)(
  '%s without an entry: given up once, by three at once',
  async (status) => {
    const { added, row } = await left(status);
    expect(await Promise.all([settle(row), settle(row), settle(row)])).toEqual([
      'removed',
      'removed',
      'removed',
    ]);
    expect(await kept.told(added.id)).toEqual(['recording.abandoned']);
    expect(await kept.state(added)).toEqual(GONE);
  },
);

test('sealed with its entry: completed, by three at once, and by one who comes late', async () => {
  const { added, row } = await left('sealed');
  await identity.audit.append(storedEvent(row));
  expect(await Promise.all([settle(row), settle(row), settle(row)])).toEqual(['stored', 'stored', 'stored']);
  expect(await settle(row)).toBe('stored');
  expect(await kept.told(added.id)).toEqual(['recording.stored']);
  expect(await kept.state(added)).toMatchObject({ status: 'stored', object: true, copy: true, key: true });
});

test('settled by three at once it is counted once, with the flags that it has', async () => {
  const { added, row } = await left('sealed');
  await identity.superuser.query(`UPDATE recording SET flags = ARRAY['silent', 'one_sided'] WHERE id = $1`, [
    added.id,
  ]);
  await identity.audit.append(storedEvent(row));
  const flags = createStoredFlags(kept.recordings);
  const { audit, clock } = identity;
  const settleCounted = createSettleIntent({
    ...{ objects: kept.objects.store, objectKeyOf, envelopeKeyOf, audit, log: audit, now: clock.now },
    recordings: { ...kept.recordings, store: flags.store },
  });
  await Promise.all([settleCounted(row), settleCounted(row), settleCounted(row)]);
  expect([...flags.counts()].toSorted()).toEqual([
    ['one_sided', 1],
    ['silent', 1],
  ]);
});

test('a sleeper who wakes after the sweeper cannot say stored any more', async () => {
  const { added, row } = await left('sealed');
  expect(await settle(row)).toBe('removed');
  await expect(identity.audit.append(storedEvent(row))).rejects.toMatchObject({ code: 'event_exists' });
  await kept.recordings.store(added.id, 1, new Date());
  expect(await kept.state(added)).toEqual(GONE);
});

test('a sleeper and settlers at once: one end, and the row is as it says', async () => {
  for (let round = 0; round < 20; round += 1) {
    const { added, row } = await left('sealed');
    const [told, ...settled] = await Promise.allSettled([
      identity.audit.append(storedEvent(row)),
      settle(row),
      settle(row),
    ]);
    const stored = told.status === 'fulfilled';
    expect(settled).toEqual(Array(2).fill({ status: 'fulfilled', value: stored ? 'stored' : 'removed' }));
    expect(await kept.told(added.id)).toEqual([stored ? 'recording.stored' : 'recording.abandoned']);
    expect(await kept.state(added)).toMatchObject(stored ? { status: 'stored', object: true } : GONE);
  }
});

test('with the log away nothing is settled and nothing is removed', async () => {
  const { added, row } = await left('sealed');
  const before = await kept.state(added);
  await identity.stopLog();
  try {
    await expect(settle(row)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await kept.state(added)).toEqual(before);
  } finally {
    await identity.resumeLog();
  }
  await expect.poll(() => identity.audit.state()).toBe('ready');
  expect(await settle(row)).toBe('removed');
});
