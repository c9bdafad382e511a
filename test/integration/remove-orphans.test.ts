import { randomUUID } from 'node:crypto';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createRemoveOrphans, MOST_UNKNOWN, UNKNOWN_KEPT_MS } from '../../src/services/remove-orphans.ts';
import { envelopeKeyOf, objectKeyOf, partKeyOf } from '../../src/storage/object-key.ts';
import type { ObjectKey } from '../../src/storage/object-store.ts';
import { type Identity, startIdentity } from '../support/identity.ts';
import { type KeptRows, openKeptRows } from '../support/kept-rows.ts';
import { listedKeys, never } from '../support/opened-store.ts';

const GRACE_MS = 60_000;

let identity: Identity;
let kept: KeptRows;
beforeAll(async () => {
  identity = await startIdentity();
  kept = await openKeptRows(identity);
});
beforeEach(async () => {
  for (const key of await keys()) await kept.objects.store.delete(key as ObjectKey);
});
afterAll(async () => {
  await kept?.close();
  await identity?.close();
});

const keys = () => listedKeys(kept.objects.store);
const pathOf = (key: string): string => {
  const [room = '', organisation = '', name = ''] = key.split('/');
  return join(kept.objects.root, room, organisation, name.slice(0, 2), name);
};
const age = async (key: ObjectKey, ms: number): Promise<void> => {
  const at = new Date(Date.now() - ms);
  await utimes(pathOf(key), at, at);
};
/** An object that no row has heard of. */
const plant = async (key: ObjectKey, ms: number): Promise<ObjectKey> => {
  await mkdir(dirname(pathOf(key)), { recursive: true });
  await writeFile(pathOf(key), 'left');
  await age(key, ms);
  return key;
};
const unknown = (organisation = kept.home.id) => objectKeyOf(organisation, randomUUID());
const removeOrphans = (page = 500, signal = never()) =>
  createRemoveOrphans({
    recordings: kept.recordings,
    objects: kept.objects.store,
    now: Date.now,
    page,
  })(GRACE_MS, signal);

const LONG = UNKNOWN_KEPT_MS + 60_000;

test('an object and a copy that no row answers for are removed, whoever’s folder they are in', async () => {
  const generation = randomUUID();
  await plant(objectKeyOf(kept.home.id, generation), LONG);
  await plant(envelopeKeyOf(kept.home.id, generation), LONG);
  await plant(envelopeKeyOf(kept.home.id, randomUUID()), LONG);
  await plant(unknown(randomUUID()), LONG);
  expect(await removeOrphans()).toEqual({ removed: 4, tooMany: false });
  expect(await keys()).toEqual([]);
});

test('younger ones stay, and so does whatever has a row that still counts, however old', async () => {
  const young = [await plant(unknown(), UNKNOWN_KEPT_MS - 60_000), await plant(unknown(), 0)];
  const rows = [await kept.add('stored'), await kept.add('sealed'), await kept.add('intent')];
  const erasing = await kept.add('stored');
  await kept.recordings.claimErasure(erasing.id);
  const living = [...rows, erasing].flatMap(({ organisation, generation }) => [
    objectKeyOf(organisation, generation),
    envelopeKeyOf(organisation, generation),
  ]);
  for (const key of living) await age(key, 10 * LONG);
  const foreign = await plant(objectKeyOf(randomUUID(), rows[0]?.generation as string), LONG);
  expect(await removeOrphans(3)).toEqual({ removed: 1, tooMany: false });
  expect(await keys()).toEqual([...young, ...living].sort());
  expect(await keys()).not.toContain(foreign);
});

test('a part stays as long as its upload does, and one of no upload goes like an object of nobody', async () => {
  const [upload, generation, source] = [randomUUID(), randomUUID(), await kept.add('stored')];
  await identity.superuser.query(
    `INSERT INTO resumable_upload (id, organisation_id, source_id, length, facts_sealed, created_at, expires_at)
     SELECT $1, organisation_id, source_id, 10, '\\x00', now(), now() + interval '1 day' FROM recording WHERE id = $2`,
    [upload, source.id],
  );
  const insert = 'INSERT INTO upload_part (generation, upload_id, start) VALUES ($1, $2, 0)';
  await identity.superuser.query(insert, [generation, upload]);
  const living = await plant(partKeyOf(kept.home.id, generation), LONG);
  // Neither does the upload answer for an object of that name, nor the recording for a part.
  await plant(objectKeyOf(kept.home.id, generation), LONG);
  await plant(partKeyOf(source.organisation, source.generation), LONG);
  await plant(partKeyOf(randomUUID(), generation), LONG);
  await plant(partKeyOf(kept.home.id, randomUUID()), LONG);
  expect(await removeOrphans()).toEqual({ removed: 4, tooMany: false });
  expect(await keys()).toContain(living);
  await identity.superuser.query('DELETE FROM upload_part WHERE upload_id = $1', [upload]);
  expect(await removeOrphans()).toEqual({ removed: 1, tooMany: false });
  await identity.superuser.query('DELETE FROM resumable_upload WHERE id = $1', [upload]);
});

test('what reached the store after its erasure is removed once the grace is over', async () => {
  const { id, organisation, generation } = await kept.add();
  await kept.erase(id);
  const late = [
    await plant(objectKeyOf(organisation, generation), GRACE_MS + 1_000),
    await plant(envelopeKeyOf(organisation, generation), GRACE_MS - 10_000),
  ];
  expect(await removeOrphans()).toEqual({ removed: 1, tooMany: false });
  expect(await keys()).toEqual([late[1]]);
  await age(late[1] as ObjectKey, GRACE_MS);
  expect(await removeOrphans()).toEqual({ removed: 1, tooMany: false });
  expect(await keys()).toEqual([]);
});

test('more than an accident leaves: none is removed, and it is told', async () => {
  for (let n = 0; n <= MOST_UNKNOWN; n += 1) await plant(unknown(), LONG);
  const { id, organisation, generation } = await kept.add();
  await kept.erase(id);
  await plant(objectKeyOf(organisation, generation), GRACE_MS);
  expect(await removeOrphans(7)).toEqual({ removed: 1, tooMany: true });
  const left = await keys();
  expect(left).toHaveLength(MOST_UNKNOWN + 1);
  await kept.objects.store.delete(left[0] as ObjectKey);
  expect(await removeOrphans(7)).toEqual({ removed: MOST_UNKNOWN, tooMany: false });
  expect(await keys()).toEqual([]);
});

test('files that are not objects are left alone', async () => {
  const key = await plant(unknown(), LONG);
  const stranger = join(dirname(pathOf(key)), 'notes.txt');
  await writeFile(stranger, 'not ours');
  await utimes(stranger, 0, 0);
  await removeOrphans();
  expect(await readdir(dirname(stranger))).toEqual(['notes.txt']);
});

test('it stops between two pages, and nothing unknown has been removed by then', async () => {
  for (let n = 0; n < 4; n += 1) await plant(unknown(), LONG);
  const before = await keys();
  await expect(removeOrphans(2, AbortSignal.abort(new Error('closing')))).rejects.toThrow('closing');
  expect(await keys()).toEqual(before);
});
