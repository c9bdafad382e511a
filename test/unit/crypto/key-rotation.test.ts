import { expect, test } from 'vitest';
import { createKeyCache } from '../../../src/crypto/key-cache.ts';
import { createKeyRing } from '../../../src/crypto/key-ring.ts';
import { newIdentity } from '../../support/key-material.ts';
import { createVaultKeys } from '../../support/vault-keys.ts';

test('after a rotation new objects use the new key and old ones stay readable', async () => {
  const { ring, organisation, envelope, receipt, key } = await createVaultKeys();
  expect(await ring.rotate(organisation, 'kek')).toEqual({ version: 2 });
  const fresh = await ring.newObjectKey(newIdentity({ organisation }));
  expect(fresh.wrap.keyVersion).toBe(2);
  expect(fresh.wrap.keyId).not.toBe(envelope.wrap.keyId);
  await ring.openObject(envelope, receipt);
  await ring.verifyObjectKey({ ...envelope, wrap: key.wrap });
});

test('a re-wrapped key opens the same object, after the old version was destroyed as well', async () => {
  const { ring, organisation, envelope, receipt } = await createVaultKeys();
  await ring.rotate(organisation, 'kek');
  const moved = { ...envelope, wrap: await ring.rewrapObjectKey(envelope) };
  expect(moved.wrap.keyVersion).toBe(2);
  await ring.verifyObjectKey(moved);
  await ring.destroyVersion(organisation, 'kek', 1);
  await ring.openObject(moved, receipt);
  // What a backup still holds opens no longer: this is how backups forget.
  await expect(ring.openObject(envelope, receipt)).rejects.toMatchObject({ code: 'wrong_key' });
  await expect(ring.verifyObjectKey(envelope)).rejects.toMatchObject({ code: 'wrong_key' });
});

test('destroying a version takes what is in memory with it', async () => {
  const { ring, organisation, envelope, receipt } = await createVaultKeys();
  await ring.openObject(envelope, receipt);
  await ring.rotate(organisation, 'kek');
  await ring.destroyVersion(organisation, 'kek', 1);
  await expect(ring.openObject(envelope, receipt)).rejects.toMatchObject({ code: 'wrong_key' });
});

test('the newest version, and one that is not there, cannot be destroyed', async () => {
  const { ring, organisation, envelope } = await createVaultKeys();
  for (const version of [0, 1, 2])
    await expect(ring.destroyVersion(organisation, 'kek', version)).rejects.toMatchObject({
      code: 'wrong_key',
    });
  await ring.verifyObjectKey(envelope);
});

test('a rotation in one process is used by another after five seconds', async () => {
  const { ring, folder, clock, organisation } = await createVaultKeys();
  const other = createKeyRing({
    keys: createKeyCache({ store: folder.store, now: clock.now }),
    now: clock.now,
  });
  const versionUsed = async () => (await other.newObjectKey(newIdentity({ organisation }))).wrap.keyVersion;
  expect(await versionUsed()).toBe(1);
  await ring.rotate(organisation, 'kek');
  expect(await versionUsed()).toBe(1);
  clock.advance(5_000);
  expect(await versionUsed()).toBe(2);
});

test('two processes that rotate at once make the same version', async () => {
  const { ring, folder, clock, organisation } = await createVaultKeys();
  const other = createKeyRing({
    keys: createKeyCache({ store: folder.store, now: clock.now }),
    now: clock.now,
  });
  const versions = await Promise.all([ring.rotate(organisation, 'kek'), other.rotate(organisation, 'kek')]);
  const [a, b] = await Promise.all([
    ring.newObjectKey(newIdentity({ organisation })),
    other.newObjectKey(newIdentity({ organisation })),
  ]);
  expect(new Set([...versions.map(({ version }) => version), a.wrap.keyVersion, b.wrap.keyVersion])).toEqual(
    new Set([2]),
  );
  expect(a.wrap.keyId).toBe(b.wrap.keyId);
});

test('making an organisation again changes no key', async () => {
  const { ring, organisation, envelope } = await createVaultKeys();
  await ring.rotate(organisation, 'index');
  await ring.createOrganisationKeys(organisation);
  await ring.verifyObjectKey(envelope);
  expect((await ring.newObjectKey(newIdentity({ organisation }))).wrap.keyId).toBe(envelope.wrap.keyId);
  expect(await ring.rotate(organisation, 'index')).toEqual({ version: 3 });
});
