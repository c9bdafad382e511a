import type { ByteRange } from '../../src/core/sealed-layout.ts';
import { objectAad, type SealFacts, VAULT_FORMAT } from '../../src/crypto/envelope.ts';
import { integrityFaultOf } from '../../src/crypto/integrity.ts';
import { keyCommitment } from '../../src/crypto/key-commitment.ts';
import {
  type FreshObjectKey,
  openObject,
  type SealedSlice,
  sealObject,
} from '../../src/crypto/sealed-object.ts';
import { randomKey } from '../../src/crypto/secret.ts';
import { randomHeader } from '../../src/crypto/segment-cipher.ts';
import { collected, inChunks } from './byte-streams.ts';
import { newIdentity } from './key-material.ts';

/** The vault's segment size. */
export const S = VAULT_FORMAT.segmentBytes;

/** A key ring's answer without a key ring: the wrapped key opens nothing. */
export const freshKey = (over: Partial<FreshObjectKey> = {}): FreshObjectKey => {
  const identity = newIdentity();
  const dek = randomKey();
  const header = randomHeader();
  const commitment = keyCommitment(dek, header, objectAad(identity, S));
  const wrap = { provider: 'keyring', keyId: '0011223344556677', keyVersion: 1, blob: Buffer.alloc(61) };
  return { ...identity, dek, header, keyCommitment: commitment, wrap, ...over };
};

export const sealBytes = async (plain: Uint8Array, key = freshKey()) => {
  const sealing = sealObject(key, inChunks(plain, 65_536));
  const sealed = await collected(sealing.body);
  return { key, sealed, envelope: sealing.envelope() };
};

/**
 * A store that holds exactly these bytes. Like a file or socket, a slice is open from the moment it is handed out until
 * it has been read to its end or was begun and left.
 */
export const storeOf = (sealed: Uint8Array, chunk = 65_536) => {
  const seen = { asked: 0, open: 0 };
  const read = async ({ start, end }: ByteRange): Promise<SealedSlice> => {
    seen.asked += 1;
    seen.open += 1;
    async function* body(): AsyncGenerator<Buffer, void, void> {
      try {
        yield* inChunks(sealed.subarray(start, end), chunk);
      } finally {
        seen.open -= 1;
      }
    }
    return { body: body(), totalBytes: sealed.length };
  };
  return { read, seen };
};

export const readAll = async (
  envelope: SealFacts,
  key: FreshObjectKey,
  sealed: Uint8Array,
): Promise<Buffer> => {
  const { read } = storeOf(sealed);
  const object = openObject(envelope, key.dek);
  return collected(await object.readRange({ start: 0, end: object.plainBytes }, read));
};

/** What `work` was refused with. Fails the test when it was not refused. */
export const rejection = async (work: () => Promise<unknown>): Promise<unknown> => {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was refused');
};

export const faultOf = async (work: () => Promise<unknown>) => integrityFaultOf(await rejection(work));
