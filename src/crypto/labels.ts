/**
 * Domain separation (docs/file-format.md §3): every use of a key has a label of its own, and what follows a label is of
 * fixed width or length-prefixed, so that no two inputs of a key derivation, MAC or AAD can mean the same bytes.
 */
export const labels = {
  /** AAD of a sealed object. */
  object: 'cv/rec/v1\0',
  /** HKDF info of the key commitment. */
  commitment: 'cv/commit/v1\0',
  /** AAD of a wrapped data key. */
  dataKey: 'cv/dek/v1\0',
  /** HKDF info of a recording's wrap key. */
  wrapKey: 'cv/wrap/v1\0',
  /** HKDF info of a column's field key. */
  fieldKey: 'cv/field/v1\0',
  /** AAD of one sealed field. */
  fieldPlace: 'cv/cell/v1\0',
  /** MAC input of a blind index. */
  index: 'cv/index/v1\0',
  /** MAC input of a plaintext digest. */
  digest: 'cv/digest/v1\0',
  /** Context of a key wrapped by the root key. */
  storedKey: 'cv/root/v1\0',
  /** HPKE info of a data key sealed at the edge. */
  edgeKey: 'cv/edge-dek/v1\0',
  /** HKDF info of the key under which a source seals what it says of a recording, and AAD of that. */
  edgeFacts: 'cv/edge-facts/v1\0',
  /** HKDF info of the key of one resumable upload. */
  upload: 'cv/upload/v1\0',
  /** AAD of what an upload's source said of the call. */
  uploadFacts: 'cv/upload-facts/v1\0',
  /** AAD of a part of an upload. */
  part: 'cv/part/v1\0',
  /** AAD of the wrapped data key of a part. */
  partKey: 'cv/part-dek/v1\0',
  /** HKDF info of a webhook's secret. */
  webhook: 'cv/webhook/v1\0',
  /** HKDF info of the key that seals a source's token at its provider, and AAD of the token. */
  providerToken: 'cv/provider/v1\0',
  /** HKDF info of the key that seals what a provider's callback said, and AAD of it. */
  providerCallback: 'cv/callback/v1\0',
  /** MAC input of a key check value. */
  check: 'cv/check/v1\0',
} as const;
export type Label = (typeof labels)[keyof typeof labels];

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

const MAX_PART_BYTES = 4096;

/** Two bytes of length, then the UTF-8 text. Throws RangeError beyond 4,096 bytes. */
export const lengthPrefixed = (text: string): Buffer => {
  const body = Buffer.from(text, 'utf8');
  if (body.length > MAX_PART_BYTES) throw new RangeError('too long for a key label');
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length);
  return Buffer.concat([length, body]);
};

/** Label ‖ parts. Parts are of fixed width for the label, or made by {@link lengthPrefixed}. */
export const labelled = (label: Label, ...parts: readonly Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.from(label, 'latin1'), ...parts]);
