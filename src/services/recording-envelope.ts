import type { AppError } from '../core/errors.ts';
import type { GenerationId, OrganisationId, RecordingId } from '../core/ids.ts';
import { assertEnvelope, type Envelope, VAULT_FORMAT } from '../crypto/envelope.ts';
import { integrityFailure } from '../crypto/integrity.ts';
import type { RecordingRow } from '../storage/recording-table.ts';

/** Columns of an envelope as the row holds them. */
export const envelopeColumns = (envelope: Envelope) => ({
  plainBytes: BigInt(envelope.plainBytes),
  sealedBytes: BigInt(envelope.sealedBytes),
  sealedSha256: new Uint8Array(envelope.sealedSha256),
  header: new Uint8Array(envelope.header),
  keyCommitment: new Uint8Array(envelope.keyCommitment),
  wrapProvider: envelope.wrap.provider,
  wrapKeyId: envelope.wrap.keyId,
  wrapVersion: envelope.wrap.keyVersion,
  wrappedKey: new Uint8Array(envelope.wrap.blob),
});

/**
 * The envelope of a stored recording. A row without one, or with one that the vault could not have written, is damage, never
 * "no encryption": `integrity_failure`.
 */
export const envelopeOf = (row: RecordingRow): Envelope => {
  const { plainBytes, sealedBytes, sealedSha256, header, keyCommitment } = row;
  const { wrapProvider, wrapKeyId, wrapVersion, wrappedKey } = row;
  if (plainBytes === null || sealedBytes === null || sealedSha256 === null || header === null)
    throw damaged();
  if (keyCommitment === null || wrapProvider === null || wrapKeyId === null) throw damaged();
  if (wrapVersion === null || wrappedKey === null) throw damaged();
  const envelope: Envelope = {
    ...VAULT_FORMAT,
    organisation: row.organisationId as OrganisationId,
    recording: row.id as RecordingId,
    generation: row.generation as GenerationId,
    plainBytes: Number(plainBytes),
    sealedBytes: Number(sealedBytes),
    sealedSha256,
    header,
    keyCommitment,
    wrap: { provider: wrapProvider, keyId: wrapKeyId, keyVersion: wrapVersion, blob: wrappedKey },
  };
  assertEnvelope(envelope);
  return envelope;
};

const damaged = (): AppError => integrityFailure('envelope');
