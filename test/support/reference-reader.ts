import { createDecipheriv, hkdfSync } from 'node:crypto';

/**
 * The sealed object as docs/file-format.md §2 describes it, read the slow and plain way from start to end. Written from the
 * document and shares nothing with src/, so that the two can be held against each other.
 */
export const readWhole = (object: Buffer, dek: Buffer, aad: Buffer, segmentBytes: number): Buffer => {
  if (object[0] !== 40) throw new Error('no header');
  const key = Buffer.from(hkdfSync('sha256', dek, object.subarray(1, 33), aad, 32));
  const prefix = object.subarray(33, 40);
  const parts: Buffer[] = [];
  for (let i = 0; i * segmentBytes < object.length; i += 1) {
    const segment = object.subarray(i === 0 ? 40 : i * segmentBytes, (i + 1) * segmentBytes);
    const last = (i + 1) * segmentBytes >= object.length;
    const nonce = Buffer.concat([prefix, Buffer.from([i >>> 24, i >>> 16, i >>> 8, i, last ? 1 : 0])]);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
    decipher.setAuthTag(segment.subarray(-16));
    parts.push(decipher.update(segment.subarray(0, -16)), decipher.final());
  }
  return Buffer.concat(parts);
};

type Field = { readonly number: number; readonly value: number | Buffer };

/** The two wire types of Protocol Buffers that a Tink key uses: varint and length-delimited. */
export const protoFields = (bytes: Buffer): readonly Field[] => {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    // The value itself, or the length of what follows.
    const length = varint();
    const number = tag >> 3;
    const value = (tag & 7) === 0 ? length : bytes.subarray(at, at + length);
    if (typeof value !== 'number') at += length;
    fields.push({ number, value });
  }
  return fields;
};
