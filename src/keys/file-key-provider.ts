import { uuidBytes } from '../core/ids.ts';
import { integrityFailure } from '../crypto/integrity.ts';
import { wrongKey } from '../crypto/key-store.ts';
import { labelled, labels, lengthPrefixed, uint32 } from '../crypto/labels.ts';
import { openBox, sealBox } from '../crypto/sealed-box.ts';
import { keyIdOf } from '../crypto/secret.ts';
import type { KeyContext, KeyProvider } from './key-provider.ts';
import { readRootKey } from './root-key-file.ts';

/** Blob: 0x01 ‖ root key id(8) ‖ sealed box (docs/file-format.md §5.2). */
const FORMAT = 1;
const PREFIX_BYTES = 9;

const aadOf = ({ organisation, purpose, version }: KeyContext): Buffer =>
  labelled(labels.storedKey, uuidBytes(organisation), lengthPrefixed(purpose), uint32(version));

const prefixOf = (keyId: string): Buffer => Buffer.concat([Buffer.from([FORMAT]), Buffer.from(keyId, 'hex')]);

/**
 * Root key in a file of its own. The file is read for every wrap and unwrap, which the key cache makes rare: so the root
 * key is in memory for moments only, and taking the file away takes effect. Throws as `readRootKey` does.
 */
export const createFileKeyProvider = async ({ path }: { readonly path: string }): Promise<KeyProvider> => {
  const keyId = keyIdOf(await readRootKey(path));
  const rootKey = async () => {
    const key = await readRootKey(path);
    if (keyIdOf(key) !== keyId) throw wrongKey(`${path} is not the root key this vault was started with.`);
    return key;
  };
  return {
    kind: 'file',
    keyId,
    wrap: async (context, secret) => sealBox(await rootKey(), aadOf(context), secret, prefixOf(keyId)),
    unwrap: async (context, blob) => {
      const prefix = blob.subarray(0, PREFIX_BYTES);
      if (prefix.length < PREFIX_BYTES || prefix[0] !== FORMAT) throw integrityFailure('stored_key');
      if (Buffer.compare(prefix, prefixOf(keyId)) !== 0)
        throw wrongKey('The key store was made with another root key.');
      const secret = openBox(await rootKey(), aadOf(context), blob.subarray(PREFIX_BYTES));
      if (secret === null) throw integrityFailure('stored_key');
      return secret;
    },
  };
};
