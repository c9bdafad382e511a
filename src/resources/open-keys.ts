import type { Config } from '../config.ts';
import { createFieldEncryption } from '../crypto/field-encryption.ts';
import { createJwtKeys } from '../crypto/jwt-keys.ts';
import { createKeyCache } from '../crypto/key-cache.ts';
import { createKeyRing } from '../crypto/key-ring.ts';
import { INSTALLATION, wrongKey } from '../crypto/key-store.ts';
import { type KeyFolder, openKeyFolder } from '../keys/key-folder.ts';
import type { Installation } from '../storage/installation-table.ts';
import { now } from './purpose.ts';

/** Another vault's keys would open nothing that is here, and seal what nobody could open with the right ones later. */
const assertOwnKeys = ({ keysDir }: Config, folder: KeyFolder, known: Installation | null): void => {
  if (known === null || known.keyId === folder.keyId) return;
  throw wrongKey(
    `${keysDir} is not the key folder this database was made with: give this vault its own (KEYS_DIR), or restore it from its backup.`,
  );
};

export const openKeys = async (config: Config, known: Installation | null) => {
  const newInstallation = known === null;
  const folder = await openKeyFolder({
    directory: config.keysDir,
    rootKeyFile: config.keyFile,
    create: newInstallation,
    now,
  });
  assertOwnKeys(config, folder, known);
  const keys = createKeyCache({ store: folder.store, now });
  const keyRing = createKeyRing({ keys, now });
  if (newInstallation) await keyRing.createOrganisationKeys(INSTALLATION);
  return {
    folder,
    keys,
    keyRing,
    fields: createFieldEncryption({ keys, now }),
    jwtKeys: await createJwtKeys({ keys }),
  };
};
