import { AppError } from '../core/errors.ts';

export type ProviderQuestion = {
  readonly method: 'GET' | 'DELETE';
  readonly url: string;
  readonly user: string;
  readonly password: string;
};

/** The body is attacker-controlled and not read yet: to be read, or closed. */
export type ProviderAnswer = {
  readonly status: number;
  readonly mediaType: string | null;
  /** Whether it came in another coding than was asked for. */
  readonly coded: boolean;
  /** Seconds for which it wants to be left alone, an hour at most; null when it does not say. */
  readonly retryAfter: number | null;
  readonly body: AsyncIterable<Buffer>;
  readonly close: () => void;
};

/** As http/outbound-media.ts has it. Never rejects. */
export type AskProvider = (
  asked: ProviderQuestion,
  signal: AbortSignal,
) => Promise<ProviderAnswer | { readonly fault: string }>;

/** `why` is a closed word of ours or a status. */
export const fetchFailed = (why: string, retryAfter: number | null = null): AppError =>
  new AppError('fetch_failed', `The provider did not hand over the recording (${why}). Nothing was stored.`, {
    why,
    ...(retryAfter === null ? {} : { retryAfter }),
  });

async function* whole(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch {
    // Shorter than it said, or nothing came any more: whatever arrived is not the recording.
    throw fetchFailed('cut_off');
  }
}

/** The sound as it comes from the provider. Rejects with `fetch_failed`, and so does reading what is cut off. */
export const fetchMedia = async (
  ask: AskProvider,
  asked: Omit<ProviderQuestion, 'method'>,
  signal: AbortSignal,
): Promise<{ readonly body: AsyncIterable<Buffer>; readonly close: () => void }> => {
  const answer = await ask({ ...asked, method: 'GET' }, signal);
  if ('fault' in answer) throw fetchFailed(answer.fault);
  const { status, mediaType, coded, retryAfter, body, close } = answer;
  // A page in words is an excuse and no recording, whatever its status.
  const isMedia = mediaType === null || /^(audio\/|application\/octet-stream|binary\/)/i.test(mediaType);
  if (status === 200 && isMedia && !coded) return { body: whole(body), close };
  close();
  throw fetchFailed(status === 200 ? 'no_audio' : `status_${status}`, retryAfter);
};
