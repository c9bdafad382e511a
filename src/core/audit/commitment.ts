import { HASH_BYTES } from './merkle.ts';
import { sha256 } from './sha256.ts';

/**
 * How a body gets into the tree without being in it. The commitment c = SHA-256(0x02 ‖ salt ‖ body) is what the log keeps
 * for ever; when salt and body are pruned, nothing that is left can be linked to them. The log's entry is 0x01 ‖ c, where
 * 0x01 is the version of the entry, and its leaf is SHA-256(0x00 ‖ entry) as in RFC 6962.
 */
export const SALT_BYTES = 32;
const BODY_PREFIX = 0x02;
const ENTRY_VERSION = 0x01;
const LEAF_PREFIX = 0x00;

// One scratch buffer per shape: hashing is synchronous, and bodies arrive by the ten thousand.
const leafInput = Buffer.from([LEAF_PREFIX, ENTRY_VERSION, ...Buffer.alloc(HASH_BYTES)]);
let bodyInput = Buffer.alloc(4096, BODY_PREFIX);

/** SHA-256(0x02 ‖ salt ‖ UTF-8 of body). The salt's fixed length is part of the security: RangeError on any other. */
export const commitmentOf = (salt: Uint8Array, body: string): Buffer => {
  if (salt.length !== SALT_BYTES) throw new RangeError('a salt has 32 bytes');
  const bodyBytes = Buffer.byteLength(body);
  const length = 1 + SALT_BYTES + bodyBytes;
  if (bodyInput.length < length) bodyInput = Buffer.alloc(length * 2, BODY_PREFIX);
  bodyInput.set(salt, 1);
  bodyInput.write(body, 1 + SALT_BYTES);
  return sha256(bodyInput.subarray(0, length));
};

/** The 33 bytes the tree is built over. */
export const logEntryOf = (commitment: Uint8Array): Buffer =>
  Buffer.concat([Buffer.of(ENTRY_VERSION), commitment]);

/** SHA-256(0x00 ‖ 0x01 ‖ c), the leaf of a commitment. */
export const leafOf = (commitment: Uint8Array): Buffer => {
  if (commitment.length !== HASH_BYTES) throw new RangeError('a commitment has 32 bytes');
  leafInput.set(commitment, 2);
  return sha256(leafInput);
};
