import type { OrganisationId } from '../../src/core/ids.ts';
import { createKeyCache } from '../../src/crypto/key-cache.ts';
import { createKeyRing } from '../../src/crypto/key-ring.ts';
import { organisationPurposes } from '../../src/crypto/key-store.ts';
import { openKeyFolder } from '../../src/keys/key-folder.ts';

/**
 * A process of its own over a key folder: `node key-folder-process.ts <directory> <organisation> [versions]`. Makes the
 * organisation's keys, then rotates each `versions` times, printing the id of every key it holds after each step.
 */
const [directory = '', organisation = '', versions = '0'] = process.argv.slice(2);
const now = Date.now;
const { store } = await openKeyFolder({ directory, create: true, now });
const keys = createKeyCache({ store, now });
const ring = createKeyRing({ keys, now });
const id = organisation as OrganisationId;

const print = async (): Promise<void> => {
  for (const purpose of organisationPurposes) {
    const { keyId, version } = await keys.newest({ organisation: id, purpose });
    process.stdout.write(`${purpose} ${version} ${keyId}\n`);
  }
};

await ring.createOrganisationKeys(id);
await print();
for (let i = 0; i < Number(versions); i += 1) {
  for (const purpose of organisationPurposes) await ring.rotate(id, purpose);
  await print();
}
