import type { SourceActor } from '../core/access.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { parseMetadata } from '../core/metadata.ts';
import { type EdgeManifest, readEdgeManifest } from '../crypto/edge-manifest.ts';
import { openEdgeFacts, signingKeyOf } from '../crypto/edge-sealing.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import { type FreshObjectKey, openArriving } from '../crypto/sealed-object.ts';
import type { IntakeTable } from '../storage/intake-table.ts';
import type { IngestRequest } from './ingest-request.ts';

export type OpenSealedUploadDeps = {
  readonly intake: Pick<IntakeTable, 'settings'>;
  readonly keyRing: Pick<KeyRing, 'adoptObjectKey'>;
  readonly now: () => number;
};

export type SealedUpload = {
  readonly actor: SourceActor;
  /** Compact JWS; attacker-controlled. */
  readonly manifest: string;
  /** The sealed object as it arrives; attacker-controlled. */
  readonly object: AsyncIterable<Buffer>;
};

const notThisObject = (cause: unknown): AppError =>
  new AppError(
    'digest_mismatch',
    'The object does not open with the key of its manifest: it was damaged on the way, or belongs to another. Seal it again and send it.',
    { cause },
  );

const notThisKey = (cause: unknown): AppError =>
  new AppError(
    'invalid_request',
    'The manifest does not open: it is sealed to a key that this organisation does not have, or no longer has. GET /v1/edge-key gives the present one.',
    { cause },
  );

/** A fault of what a source sent is not one of what is stored. */
const fromSource = (error: unknown, say: (cause: unknown) => AppError): unknown =>
  isAppError(error, 'integrity_failure') || isAppError(error, 'wrong_key') ? say(error) : error;

async function* opening(key: FreshObjectKey, plain: number, object: AsyncIterable<Buffer>) {
  try {
    yield* openArriving(key, plain, object);
  } catch (error) {
    throw fromSource(error, notThisObject);
  }
}

/**
 * What a recording that its source has sealed is, as an upload like any other: opened in memory while it arrives, so that it
 * is counted, hashed and probed, and sealed again under the very key it came with, to the very same bytes. Throws, before a
 * byte of the object is read, `forbidden` for a source without a signing key or a manifest that another has signed,
 * `invalid_request` and `not_acceptable_metadata` for what the manifest says.
 */
export const createOpenSealedUpload = ({ intake, keyRing, now }: OpenSealedUploadDeps) => {
  const adopted = async (manifest: EdgeManifest) => {
    const sealed = await keyRing.adoptObjectKey(manifest);
    return { sealed, facts: openEdgeFacts(sealed.dek, manifest) };
  };

  return async ({
    actor,
    manifest,
    object,
  }: SealedUpload): Promise<Pick<IngestRequest, 'metadata' | 'body' | 'limits' | 'sealed'>> => {
    const settings = await intake.settings(actor.id);
    if (settings === null || settings.signingKey === null)
      throw new AppError(
        'forbidden',
        'This source has no signing key: an administrator gives it one (signingKey of the source).',
      );
    const read = readEdgeManifest(manifest, signingKeyOf(Buffer.from(settings.signingKey, 'base64url')));
    if (read.organisation !== actor.organisation)
      throw new AppError('invalid_request', 'The manifest names another organisation than the source’s own.');
    const { sealed, facts } = await adopted(read).catch((error: unknown) => {
      throw fromSource(error, notThisKey);
    });
    const metadata = parseMetadata(facts.metadata, now());
    return {
      metadata,
      body: opening(sealed, read.plainBytes, object),
      limits: {
        declaredBytes: read.plainBytes,
        declaredSha256: Buffer.from(facts.plainSha256),
        declaredMediaType: facts.mediaType,
      },
      sealed,
    };
  };
};

export type OpenSealedUpload = ReturnType<typeof createOpenSealedUpload>;
