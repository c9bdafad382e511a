import { type KeyObject, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError } from '../core/errors.ts';
import { type GenerationId, isUuid, type OrganisationId, type RecordingId } from '../core/ids.ts';
import { metadataOfTexts } from '../core/ingest-headers.ts';
import { sealedBytes } from '../core/sealed-layout.ts';
import { type EdgeRecipient, isEdgeRecipient, sealAtEdge } from '../crypto/edge-sealing.ts';
import type { Delivery } from './delivery.ts';
import type { Upload, VaultClient } from './vault-client.ts';

/** The organisation's key that recordings are sealed to, as somebody who knows it has put it beside the agent. */
export type EdgeKey = EdgeRecipient & { readonly organisation: OrganisationId };

/** No part holds it: what is sealed is random, and a JWS has no dashes in a row before a line's end. */
const boundaryOf = (): string => `callvault-${randomUUID()}`;

const given = (text: string): Readonly<Record<string, unknown>> => {
  try {
    return (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
};

/** Reads what `GET /v1/edge-key` answers, kept in a file. Throws `config_invalid`. */
export const readEdgeKey = (text: string): EdgeKey => {
  const said = given(text);
  const publicKey = Buffer.from(typeof said.publicKey === 'string' ? said.publicKey : '', 'base64url');
  const { organisation, keyVersion, algorithm } = said;
  if (
    typeof organisation === 'string' &&
    isUuid(organisation) &&
    algorithm === 1 &&
    typeof keyVersion === 'number' &&
    Number.isSafeInteger(keyVersion) &&
    isEdgeRecipient(publicKey)
  )
    return { organisation: organisation as OrganisationId, keyVersion, publicKey };
  throw new AppError(
    'config_invalid',
    'The file of --edge-key holds no key to seal to: it is the answer of GET /v1/edge-key, in JSON.',
  );
};

/** What the vault says of a manifest, which every recording has: nothing gets through before somebody has mended it. */
const refusedKey = (reason: string): Delivery => ({
  outcome: 'later',
  code: 'edge_key_refused',
  reason: `${reason} The file of --edge-key is not of this vault and organisation, or too old: get it anew from somebody who knows the vault.`,
  retryAfter: null,
  stopped: true,
});

/**
 * Delivers as the client does, but seals each recording for the organisation and signs it (docs/file-format.md §11) before it
 * leaves: who takes this machine, its key and all that it sent can open nothing that was sealed before. The key it seals to is
 * the one it was given, and never one that the network says. `signingKey` is the source's Ed25519 private key.
 */
export const createSealingClient = (
  client: Pick<VaultClient, 'transfer'>,
  signingKey: KeyObject,
  { organisation, ...recipient }: EdgeKey,
): Pick<VaultClient, 'upload'> => {
  const form = (upload: Upload, boundary: string) => {
    const identity = {
      organisation,
      recording: randomUUID() as RecordingId,
      generation: randomUUID() as GenerationId,
    };
    let source: Readable | null = null;
    async function* plain(): AsyncGenerator<Uint8Array> {
      source = upload.open();
      yield* source;
    }
    const { manifest, object } = sealAtEdge(
      identity,
      recipient,
      {
        source: plain(),
        plainBytes: upload.bytes,
        plainSha256: Buffer.from(upload.sha256, 'hex'),
        mediaType: upload.mediaType ?? null,
        metadata: metadataOfTexts(upload.metadata),
      },
      signingKey,
    );
    const part = (name: string): string =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`;
    const head = Buffer.from(`${part('manifest')}${manifest}\r\n${part('object')}`);
    const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
    async function* body(): AsyncGenerator<Buffer> {
      try {
        yield head;
        yield* object;
        yield tail;
      } finally {
        source?.destroy();
      }
    }
    return { body, bytes: head.length + sealedBytes(upload.bytes) + tail.length };
  };

  return {
    async upload(upload) {
      const { sha256, signal } = upload;
      const boundary = boundaryOf();
      const { body, bytes } = form(upload, boundary);
      const delivery = await client.transfer({
        method: 'POST',
        path: '/v1/sealed-recordings',
        headers: { 'content-type': `multipart/form-data; boundary=${boundary}`, 'content-length': bytes },
        open: () => Readable.from(body(), { objectMode: false }),
        sha256,
        signal,
      });
      return delivery.outcome === 'refused' && delivery.code === 'invalid_request'
        ? refusedKey(delivery.reason)
        : delivery;
    },
  };
};
