import type { SourceActor } from '../core/access.ts';
import type { CallMetadata } from '../core/metadata.ts';
import type { FreshObjectKey } from '../crypto/sealed-object.ts';
import type { ReceivedAudio, UploadLimits } from './upload-stream.ts';

export type IngestRequest = {
  readonly actor: SourceActor;
  readonly metadata: CallMetadata;
  /** Plaintext as it arrives; never kept. */
  readonly body: AsyncIterable<Buffer>;
  readonly limits: Omit<UploadLimits, 'maxBytes'>;
  /** Of a recording that its source has sealed: it stays under this key, which makes the stored object the one that came. */
  readonly sealed?: FreshObjectKey;
  readonly request: string;
  /**
   * Asked when the body has ended: whether it was cut off, and is kept all the same, flagged `truncated`. Sound that is sent
   * while it is spoken comes only once.
   */
  readonly isCut?: () => boolean;
  /** Fires when the client hangs up; ignored once the object is durable. */
  readonly signal: AbortSignal;
};

export type Ingested = {
  /** False: the same call, segment and content was here already. */
  readonly created: boolean;
  readonly id: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly durationMs: number | null;
  readonly mediaType: string;
  readonly flags: readonly string[];
};

export const ingested = (
  id: string,
  { sha256, bytes, facts, flags }: ReceivedAudio,
  created: boolean,
): Ingested => ({
  created,
  id,
  sha256: sha256.toString('hex'),
  bytes,
  durationMs: facts.durationMs,
  mediaType: facts.mediaType,
  flags,
});
