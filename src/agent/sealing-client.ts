import { type KeyObject, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { GenerationId, OrganisationId, RecordingId } from '../core/ids.ts';
import { metadataOfTexts } from '../core/ingest-headers.ts';
import { sealedBytes } from '../core/sealed-layout.ts';
import { type EdgeRecipient, sealAtEdge } from '../crypto/edge-sealing.ts';
import { type Delivery, unanswered } from './delivery.ts';
import type { Upload, VaultClient } from './vault-client.ts';

type Edge = EdgeRecipient & { readonly organisation: OrganisationId };

const PUBLIC_KEY_BYTES = 32;
/** No part holds it: what is sealed is random, and a JWS has no dashes in a row before a line's end. */
const boundaryOf = (): string => `callvault-${randomUUID()}`;

/** The answer to `GET /v1/edge-key`, or null for what is none. */
const edgeOf = (body: unknown): Edge | null => {
  const said = (body ?? {}) as Readonly<Record<string, unknown>>;
  const publicKey = Buffer.from(typeof said.publicKey === 'string' ? said.publicKey : '', 'base64url');
  if (typeof said.organisation !== 'string' || !/^[0-9a-f-]{36}$/.test(said.organisation)) return null;
  if (said.algorithm !== 1 || !Number.isSafeInteger(said.keyVersion)) return null;
  if (publicKey.length !== PUBLIC_KEY_BYTES) return null;
  return {
    organisation: said.organisation as OrganisationId,
    keyVersion: said.keyVersion as number,
    publicKey,
  };
};

const later = (code: string, reason: string, retryAfter: number | null): Delivery => ({
  outcome: 'later',
  code,
  reason,
  retryAfter,
  stopped: code === 'unauthenticated',
});

/**
 * Delivers as the client does, but seals each recording for the organisation and signs it (docs/file-format.md §11) before it
 * leaves: who takes this machine, its key and all that it sent can open nothing that was sealed before. `signingKey` is the
 * source's Ed25519 private key.
 */
export const createSealingClient = (
  client: Pick<VaultClient, 'ask' | 'transfer'>,
  signingKey: KeyObject,
): Pick<VaultClient, 'upload'> => {
  // Asked once; again after the vault did not take what was sealed, for it may have been rotated.
  let known: Edge | null = null;
  const edge = async (signal: AbortSignal | undefined): Promise<Edge | Delivery> => {
    if (known !== null) return known;
    const answer = await client.ask('GET', '/v1/edge-key', { signal });
    if (answer === null) return unanswered('the vault cannot be reached');
    const read = answer.status === 200 ? edgeOf(answer.body) : null;
    if (read === null)
      return answer.status === 401
        ? later('unauthenticated', 'the vault does not know this key', answer.retryAfter)
        : later('no_edge_key', `the vault gave no key to seal to (${answer.status})`, answer.retryAfter);
    known = read;
    return read;
  };

  const form = ({ organisation, ...recipient }: Edge, upload: Upload, boundary: string) => {
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
      const recipient = await edge(signal);
      if ('outcome' in recipient) return recipient;
      const boundary = boundaryOf();
      const { body, bytes } = form(recipient, upload, boundary);
      const delivery = await client.transfer({
        method: 'POST',
        path: '/v1/sealed-recordings',
        headers: { 'content-type': `multipart/form-data; boundary=${boundary}`, 'content-length': bytes },
        open: () => Readable.from(body(), { objectMode: false }),
        sha256,
        signal,
      });
      if (delivery.outcome === 'stored') return delivery;
      known = null;
      // Said of the manifest and the key, which the next try makes anew, and not of the file.
      return delivery.code === 'invalid_request' ? later('invalid_request', delivery.reason, null) : delivery;
    },
  };
};
