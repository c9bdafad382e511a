import type { SourceActor } from '../core/access.ts';
import type { RecordingFlag } from '../core/delivery-flags.ts';
import type { CallMetadata } from '../core/metadata.ts';
import type { RecordingCallback } from '../core/recording-callback.ts';
import type { IngestRecording } from './ingest-recording.ts';
import type { ProviderAccount } from './provider-account.ts';
import { type AskProvider, fetchMedia } from './provider-media.ts';
import type { RecordUploadRefusal } from './record-upload-refusal.ts';
import type { UnderWay } from './under-way.ts';

type Known = { readonly id: string };

export type FetchRecordingDeps = {
  /** The recording that is already here of this delivery. */
  readonly storedEarlier: (asked: {
    readonly actor: SourceActor;
    readonly metadata: CallMetadata;
    readonly request: string;
  }) => Promise<Known | null>;
  readonly ingestRecording: IngestRecording;
  readonly recordUploadRefusal: RecordUploadRefusal;
  readonly askProvider: AskProvider;
  /** A recording is stored, and its provider keeps its copy. */
  readonly copyKept: (fields: { readonly recording: string; readonly fault: string }) => void;
};

export type FetchAsked = {
  readonly actor: SourceActor;
  readonly account: ProviderAccount;
  readonly recording: NonNullable<RecordingCallback['recording']>;
  readonly request: string;
  /** Whether it was asked for before, so that what is here may have been fetched by one that was killed. */
  readonly again: boolean;
  /** Whether a provider that does not hand it over is an entry by itself: not at every of many attempts. */
  readonly told: boolean;
};

export type FetchedRecording = {
  readonly created: boolean;
  readonly id: string;
  readonly flags: readonly string[];
};

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
  ({ askProvider, ingestRecording, recordUploadRefusal }: FetchRecordingDeps) =>
  async (asked: FetchAsked, signal: AbortSignal): Promise<FetchedRecording> => {
    const { actor, account, request, recording } = asked;
    const { accountSid: user, authToken: password } = account;
    const question = { url: recording.audioUrl, user, password };
    const media = await fetchMedia(askProvider, question, signal).catch(async (error: unknown) => {
      if (asked.told) await recordUploadRefusal({ actor, request, error });
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
  ({ askProvider, copyKept }: FetchRecordingDeps) =>
  async ({ account, recording }: FetchAsked, stored: FetchedRecording, signal: AbortSignal) => {
    const kept = (fault: string): void => copyKept({ recording: stored.id, fault });
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

/**
 * Fetches a recording from its provider and stores it, once: one that is here is not fetched again. `begin` comes before
 * anything is asked of the provider. Rejects with `fetch_failed`, as ingest does, and with `erased`.
 */
export const createFetchRecording = (deps: FetchRecordingDeps, underWay: UnderWay) => {
  const store = storeRecording(deps);
  const remove = deleteAtProvider(deps);
  return async (
    asked: FetchAsked,
    begin: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<FetchedRecording> => {
    const { actor, account, request, recording } = asked;
    const earlier = await deps.storedEarlier({ actor, request, metadata: recording.metadata });
    if (earlier !== null) {
      // Whether a process that was killed had it deleted there, nobody knows.
      if (account.deleteAfter && asked.again) deps.copyKept({ recording: earlier.id, fault: 'interrupted' });
      return { created: false, id: earlier.id, flags: [] };
    }
    await begin();
    const stored = await store(asked, signal);
    if (account.deleteAfter && stored.created) void underWay.run((until) => remove(asked, stored, until));
    return stored;
  };
};

export type FetchRecording = ReturnType<typeof createFetchRecording>;
