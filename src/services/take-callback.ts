import type { SourceActor } from '../core/access.ts';
import type { RecordingFlag } from '../core/delivery-flags.ts';
import type { CallMetadata } from '../core/metadata.ts';
import type { RecordingCallback } from '../core/recording-callback.ts';
import type { AnnounceCalls } from './announce-calls.ts';
import type { Caller } from './authority.ts';
import type { IngestRecording } from './ingest-recording.ts';
import type { Ingested } from './ingest-request.ts';
import { type AskProvider, fetchFailed, fetchMedia } from './provider-media.ts';
import type { RecordUploadRefusal } from './record-upload-refusal.ts';
import type { ProviderAccount } from './verify-callback.ts';

type Known = { readonly id: string };

export type TakeCallbackDeps = {
  readonly announceCalls: AnnounceCalls;
  /** The recording that is already here of this delivery. */
  readonly storedEarlier: (asked: {
    readonly actor: SourceActor;
    readonly metadata: CallMetadata;
    readonly request: string;
  }) => Promise<Known | null>;
  readonly ingestRecording: IngestRecording;
  readonly recordUploadRefusal: RecordUploadRefusal;
  readonly askProvider: AskProvider;
  /** A line for the operator. */
  readonly warn: (fields: { readonly recording: string; readonly fault: string }) => void;
};

export type CallbackRequest = Omit<Caller, 'actor'> & {
  readonly actor: SourceActor;
  readonly account: ProviderAccount;
  readonly callback: RecordingCallback;
};

type Recording = NonNullable<RecordingCallback['recording']>;
type Asked = CallbackRequest & { readonly recording: Recording };

/** What became of the recording; null where the callback is of none. */
export type TakenCallback = {
  readonly created: boolean;
  readonly id: string;
  readonly flags: readonly string[];
} | null;

/** A recording of hours on a slow line; then it is asked for no longer. */
const DEADLINE_MS = 15 * 60_000;

/** With one of these the vault may not have what the provider has: its copy stays. */
const doubtful: ReadonlySet<string> = new Set<RecordingFlag>([
  'empty',
  'truncated',
  'length_unknown',
  'header_invalid',
  'unknown_format',
  'unknown_codec',
  'gaps',
]);

const storeRecording =
  ({ askProvider, ingestRecording, recordUploadRefusal }: TakeCallbackDeps) =>
  async ({ actor, account, request, recording }: Asked, signal: AbortSignal): Promise<Ingested> => {
    const { accountSid: user, authToken: password } = account;
    const asked = { url: recording.audioUrl, user, password };
    const media = await fetchMedia(askProvider, asked, signal).catch(async (error: unknown) => {
      await recordUploadRefusal({ actor, request, error });
      throw error;
    });
    try {
      const limits = { declaredBytes: null, declaredSha256: null, declaredMediaType: null };
      const { metadata } = recording;
      return await ingestRecording({ actor, metadata, body: media.body, limits, request, signal });
    } finally {
      media.close();
    }
  };

/** Says so when the provider keeps its copy; what is stored here is stored all the same. */
const deleteAtProvider =
  ({ askProvider, warn }: TakeCallbackDeps) =>
  async ({ account, recording }: Asked, stored: Ingested, signal: AbortSignal): Promise<void> => {
    const kept = (fault: string): void => warn({ recording: stored.id, fault });
    const doubt = stored.flags.find((flag) => doubtful.has(flag));
    if (doubt !== undefined) {
      kept(doubt);
      return;
    }
    const { accountSid: user, authToken: password } = account;
    const answer = await askProvider({ method: 'DELETE', url: recording.url, user, password }, signal);
    if ('fault' in answer) {
      kept(answer.fault);
      return;
    }
    answer.close();
    if (answer.status >= 300) kept(`status_${answer.status}`);
  };

/** Work that nobody waits for any more, which ends before the vault does. */
const createUnderWay = () => {
  const running = new Map<Promise<unknown>, AbortController>();
  let stopped = false;
  const giveUp = (controller: AbortController): void => controller.abort(fetchFailed('given_up'));
  return {
    run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
      const controller = new AbortController();
      if (stopped) giveUp(controller);
      const timer = setTimeout(() => giveUp(controller), DEADLINE_MS);
      const promise = work(controller.signal).finally(() => {
        clearTimeout(timer);
        running.delete(promise);
      });
      // Whoever waits hears of it; where nobody does, the log has it.
      promise.catch(() => undefined);
      running.set(promise, controller);
      return promise;
    },
    async stop(): Promise<void> {
      stopped = true;
      for (const controller of running.values()) giveUp(controller);
      await Promise.allSettled(running.keys());
    },
  };
};

/**
 * Takes what a provider says of a recording: the call is announced first, so that the radar misses what never comes; then
 * the sound is fetched and stored, whether or not the provider waits. A recording that is here is not fetched again, and of
 * one that is on its way there is one fetch. Killed in between, nothing is stored and the call is missed.
 */
export const createTakeCallback = (deps: TakeCallbackDeps) => {
  const underWay = createUnderWay();
  const fetches = new Map<string, Promise<TakenCallback>>();
  const store = storeRecording(deps);
  const remove = deleteAtProvider(deps);

  const announce = ({ account: _account, callback, ...caller }: CallbackRequest) =>
    deps.announceCalls({ ...caller, calls: [callback.call], form: 'json' });

  const takeRecording = async (asked: Asked): Promise<TakenCallback> => {
    const { actor, request, recording } = asked;
    const earlier = await deps.storedEarlier({ actor, request, metadata: recording.metadata });
    if (earlier !== null) return { created: false, id: earlier.id, flags: [] };
    await announce(asked);
    const stored = await underWay.run((signal) => store(asked, signal));
    if (asked.account.deleteAfter && stored.created)
      void underWay.run((signal) => remove(asked, stored, signal));
    return stored;
  };

  return {
    async take(asked: CallbackRequest): Promise<TakenCallback> {
      const { status, recording } = asked.callback;
      if (status === 'other') return null;
      if (recording === null) {
        await announce(asked);
        return null;
      }
      const key = `${asked.actor.id} ${recording.metadata.deliveryId}`;
      const running = fetches.get(key);
      if (running !== undefined) {
        const taken = await running;
        return taken === null ? null : { ...taken, created: false };
      }
      const fetched = takeRecording({ ...asked, recording }).finally(() => fetches.delete(key));
      fetches.set(key, fetched);
      return fetched;
    },
    /** Gives up what is being fetched; what is durable stays. */
    stop: underWay.stop,
  };
};

export type TakeCallback = ReturnType<typeof createTakeCallback>;
