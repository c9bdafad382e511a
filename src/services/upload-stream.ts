import { createHash } from 'node:crypto';
import type { AudioFacts } from '../core/audio/facts.ts';
import { createAudioProbe } from '../core/audio/probe.ts';
import { type KeptPlace, placeToKeep } from '../core/audio/sound-place.ts';
import type { RecordingFlag } from '../core/delivery-flags.ts';
import { AppError } from '../core/errors.ts';
import { freeBuffer } from '../core/free-buffer.ts';

export type UploadLimits = {
  readonly maxBytes: number;
  /** Length the client declared, if it did: a body of another length is refused. */
  readonly declaredBytes: number | null;
  /** SHA-256 the client declared, if it did. */
  readonly declaredSha256: Buffer | null;
  readonly declaredMediaType: string | null;
};

export type ReceivedAudio = {
  readonly bytes: number;
  readonly sha256: Buffer;
  readonly facts: AudioFacts;
  /** What is odd about the audio and, once it is known what was said of it, about the delivery. */
  readonly flags: readonly RecordingFlag[];
  readonly peaks: Buffer | null;
  /** Where the sound lies, when another file is derived from it for players; else null. */
  readonly soundPlace: KeptPlace | null;
};

/**
 * Passes an upload through unchanged while it counts, hashes and probes. The bytes are attacker-controlled: the stream
 * throws `too_large` or `refused_content` as soon as that is known, `length_mismatch` or `digest_mismatch` at the end.
 * `received()` is available after the stream has ended without an error.
 */
export const createUploadStream = (source: AsyncIterable<Buffer>, limits: UploadLimits) => {
  const hash = createHash('sha256');
  const probe = createAudioProbe(
    limits.declaredMediaType === null ? {} : { declaredMediaType: limits.declaredMediaType },
  );
  let bytes = 0;
  let result: ReceivedAudio | null = null;

  const assertWelcome = (): void => {
    if (bytes > limits.maxBytes)
      throw new AppError('too_large', `A recording may have at most ${limits.maxBytes} bytes here.`);
    const refusal = probe.refusal();
    if (refusal !== null)
      throw new AppError(
        'refused_content',
        `This is not a recording but a file of kind "${refusal}"; it was refused.`,
      );
  };

  const finish = (): ReceivedAudio => {
    const sha256 = hash.digest();
    const { declaredBytes, declaredSha256 } = limits;
    if (declaredBytes !== null && declaredBytes !== bytes)
      throw new AppError(
        'length_mismatch',
        `${declaredBytes} bytes were declared but ${bytes} arrived. Send it again.`,
      );
    if (declaredSha256 !== null && !sha256.equals(declaredSha256))
      throw new AppError(
        'digest_mismatch',
        'The bytes that arrived do not have the declared SHA-256. Send it again.',
      );
    const { facts, peaks, place, refusal } = probe.finish();
    if (refusal !== null)
      throw new AppError(
        'refused_content',
        `This is not a recording but a file of kind "${refusal}"; it was refused.`,
      );
    return { bytes, sha256, facts, flags: facts.flags, peaks, soundPlace: placeToKeep(facts, place) };
  };

  async function* body(): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      bytes += chunk.length;
      hash.update(chunk);
      probe.push(chunk);
      assertWelcome();
      yield chunk;
      // Sealed by now: whoever asks for the next chunk is done with this one.
      freeBuffer(chunk);
    }
    result = finish();
  }

  return {
    body: body(),
    bytesSoFar: (): number => bytes,
    received(): ReceivedAudio {
      if (result === null) throw new AppError('internal', 'the upload has not ended');
      return result;
    },
  };
};

export type UploadStream = ReturnType<typeof createUploadStream>;
