import type { SourceActor } from '../core/access.ts';
import type { CallbackForm, RecordingCallback } from '../core/recording-callback.ts';
import type { AnnounceCalls } from './announce-calls.ts';
import type { Caller } from './authority.ts';
import type { FetchedRecording } from './fetch-recording.ts';
import type { ProviderAccount } from './provider-account.ts';
import type { RecordingFetches } from './recording-fetches.ts';

export type TakeCallbackDeps = {
  readonly announceCalls: AnnounceCalls;
  readonly recordingFetches: Pick<RecordingFetches, 'take'>;
};

export type CallbackRequest = Omit<Caller, 'actor'> & {
  readonly actor: SourceActor;
  readonly account: ProviderAccount;
  readonly form: CallbackForm;
  readonly callback: RecordingCallback;
};

/** What became of the recording; null where the callback is of none. */
export type TakenCallback = FetchedRecording | null;

/**
 * Takes what a provider says of a recording: of one that is there the sound is fetched and stored, whether or not the provider
 * waits, and of one that is on its way there is one fetch. What cannot be fetched now is fetched later
 * ({@link RecordingFetches}). Of a recording that is not there the call is announced, so that the radar misses it.
 */
export const createTakeCallback = ({ announceCalls, recordingFetches }: TakeCallbackDeps) => {
  const taking = new Map<string, Promise<FetchedRecording>>();

  return async ({ callback, form, account, ...caller }: CallbackRequest): Promise<TakenCallback> => {
    const { status, call, recording } = callback;
    if (status === 'other') return null;
    if (recording === null) {
      await announceCalls({ ...caller, calls: [call], form: 'json' });
      return null;
    }
    const key = `${caller.actor.id} ${recording.metadata.deliveryId}`;
    const running = taking.get(key);
    if (running !== undefined) return { ...(await running), created: false };
    const taken = recordingFetches
      .take({ ...caller, account, form, call, recording })
      .finally(() => taking.delete(key));
    taking.set(key, taken);
    return taken;
  };
};

export type TakeCallback = ReturnType<typeof createTakeCallback>;
