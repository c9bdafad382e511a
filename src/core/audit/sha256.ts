import { hash } from 'node:crypto';

/**
 * SHA-256, 32 bytes. The digest comes as a string and is put into Node's shared slab: bytes that Node makes for a digest are
 * memory of their own each, which costs more, to make and to give back, than the hash of so little (three for every entry).
 */
export const sha256 = (data: Uint8Array | string): Buffer =>
  Buffer.from(hash('sha256', data, 'binary'), 'binary');
