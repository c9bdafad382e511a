import { type KeyObject, randomFillSync, timingSafeEqual } from 'node:crypto';
import type { AppError } from '../core/errors.ts';
import { keysUnavailable, wrongKey } from '../crypto/key-store.ts';
import { checkValueOf, KEY_BYTES, secretKey } from '../crypto/secret.ts';
import { assertOwnerOnly, createOnce, readOwnerOnly } from './owner-only-file.ts';

/**
 * The root key on disk (docs/file-format.md §5.2): `"CVROOT1\n" ‖ key(32) ‖ check value(16)`, 56 bytes, mode 0400. The check
 * value tells a damaged file from a wrong one without any other file at hand.
 */
const MAGIC = Buffer.from('CVROOT1\n', 'latin1');
const CHECK_BYTES = 16;
const KEY_END = MAGIC.length + KEY_BYTES;
const FILE_BYTES = KEY_END + CHECK_BYTES;

const damaged = (path: string, fault: string): AppError =>
  wrongKey(`${path} ${fault}. Restore the root key from its backup; do not make a new one.`);

const parse = (path: string, content: Buffer): KeyObject => {
  if (content.length !== FILE_BYTES) throw damaged(path, 'does not have the length of a root key file');
  if (!content.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged(path, 'is not a root key file');
  const key = secretKey(content.subarray(MAGIC.length, KEY_END));
  if (!timingSafeEqual(checkValueOf(key).subarray(0, CHECK_BYTES), content.subarray(KEY_END)))
    throw damaged(path, 'is damaged');
  return key;
};

/**
 * Throws `keys_unavailable` when it is missing or cannot be read, `config_invalid` when others can get at it, `wrong_key`
 * when it is not, or no longer, a root key.
 */
export const readRootKey = async (path: string): Promise<KeyObject> => {
  const content = await readOwnerOnly(path, FILE_BYTES);
  if (content === null) throw keysUnavailable(new Error(`the root key file ${path} is missing`));
  try {
    return parse(path, content);
  } finally {
    content.fill(0);
  }
};

/** Throws `config_invalid` when others can get at the file; it is not read. */
export const assertRootKeyClosed = (path: string): Promise<void> => assertOwnerOnly(path, FILE_BYTES);

/** Makes a new root key, or returns false when there is a file already; that file is left as it is. */
export const createRootKey = async (path: string): Promise<boolean> => {
  const content = Buffer.alloc(FILE_BYTES);
  const bytes = randomFillSync(Buffer.alloc(KEY_BYTES));
  try {
    content.set(MAGIC);
    content.set(bytes, MAGIC.length);
    content.set(checkValueOf(secretKey(bytes)).subarray(0, CHECK_BYTES), KEY_END);
    return await createOnce(path, content);
  } finally {
    content.fill(0);
  }
};
