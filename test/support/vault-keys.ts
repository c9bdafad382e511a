import { randomUUID } from 'node:crypto';
import type { OrganisationId } from '../../src/core/ids.ts';
import type { ObjectIdentity } from '../../src/crypto/envelope.ts';
import { createKeyRing } from '../../src/crypto/key-ring.ts';
import { sealObject } from '../../src/crypto/sealed-object.ts';
import { collected, inChunks, patternBytes } from './byte-streams.ts';
import { createKeyMaterial, newIdentity } from './key-material.ts';
import { playbackReceipt } from './receipts.ts';

/** A vault's keys on disk, an organisation, and one sealed recording of 1,000 bytes with a receipt for it. */
export const createVaultKeys = async () => {
  const material = await createKeyMaterial();
  const ring = createKeyRing({ keys: material.keys, now: material.clock.now });
  const organisation = randomUUID() as OrganisationId;
  await ring.createOrganisationKeys(organisation);
  const record = async (over: Partial<ObjectIdentity> = {}) => {
    const key = await ring.newObjectKey(newIdentity({ organisation, ...over }));
    const sealing = sealObject(key, inChunks(patternBytes(1000), 300));
    const sealed = await collected(sealing.body);
    return { key, sealed, envelope: sealing.envelope() };
  };
  const recording = await record();
  const receipt = playbackReceipt(recording.envelope, material.clock.now());
  return { ...material, ring, organisation, record, ...recording, receipt };
};

export type VaultKeys = Awaited<ReturnType<typeof createVaultKeys>>;
