import type { SourceActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import { FETCH_PAUSES_MS, FETCHED_FOR_MS } from '../core/fetch-pauses.ts';
import type { OrganisationId } from '../core/ids.ts';
import type { CallMetadata } from '../core/metadata.ts';
import {
  type CallbackForm,
  keptForm,
  readCallbackForm,
  readRecordingCallback,
} from '../core/recording-callback.ts';
import type { ProviderCallbacks } from '../crypto/provider-tokens.ts';
import type { ClaimedFetch, RecordingFetchTable } from '../storage/recording-fetch-table.ts';
import type { Caller } from './authority.ts';
import { createFetchAttempt, type FetchAttemptDeps, type FetchTarget, LEASE_MS } from './fetch-attempt.ts';
import type { FetchedRecording } from './fetch-recording.ts';
import { createPause } from './pause.ts';
import type { ProviderAccounts } from './provider-account.ts';
import { fetchFailed } from './provider-media.ts';
import { createUnderWay } from './under-way.ts';

export type RecordingFetchesDeps = FetchAttemptDeps & {
  readonly fetches: RecordingFetchTable;
  readonly providerCallbacks: Pick<ProviderCallbacks, 'seal' | 'open'>;
  readonly accountOf: ProviderAccounts;
  /** What a delivery is known by, newest first. */
  readonly deliveryIndexes: (
    organisation: OrganisationId,
    metadata: CallMetadata,
  ) => Promise<readonly Buffer[]>;
  readonly recordingHosts: ReadonlySet<string>;
  readonly newId: () => string;
};

export type FetchRequest = Omit<Caller, 'actor'> &
  FetchTarget & { readonly actor: SourceActor; readonly form: CallbackForm };

/** A recording of hours on a slow line; then it is asked for no longer, until the next attempt. */
const DEADLINE_MS = 15 * 60_000;
/** Sources whose providers are asked at once without a callback that waits, and recordings of each. */
const MAX_SOURCES = 8;
const EACH = 2;
const LOOK_MS = 1_000;
/** For how long what was given up is counted. */
const GIVEN_UP_KEPT_MS = 7 * 86_400_000;
/** Whose work it is when no callback waits for it. */
const ROUTE = '/v1/ingest/twilio/:source';

/** The callback as it was remembered, read as if it came now: what is not the account's any more is not asked for. */
const createTargetOf =
  ({ accountOf, providerCallbacks, recordingHosts: hosts }: RecordingFetchesDeps) =>
  async ({ source, organisation, callbackSealed, createdAt }: ClaimedFetch): Promise<FetchTarget> => {
    const account = await accountOf(source);
    if (account === null) throw fetchFailed('not_asked');
    const place = { organisation: organisation as OrganisationId, source };
    const form = readCallbackForm(await providerCallbacks.open(place, callbackSealed)) ?? new Map();
    const came = createdAt.getTime();
    const { call, recording } = readRecordingCallback(form, { ...account, hosts }, came);
    if (recording === null) throw new AppError('internal', 'a remembered callback of no recording');
    const { metadata } = recording;
    const startedAt = metadata.startedAt ?? came;
    return { account, call, recording: { ...recording, metadata: { ...metadata, startedAt } } };
  };

/**
 * Recordings that providers say are there. What a callback asks for is in the database before anything is fetched, so that a
 * provider that fails, or a vault that ends, is followed by another attempt: with growing pauses, for seven days, by whichever
 * process claims it. It is removed when the recording is stored, here already, or erased.
 */
export const createRecordingFetches = (deps: RecordingFetchesDeps) => {
  const { fetches, now, newId } = deps;
  const underWay = createUnderWay(DEADLINE_MS, () => fetchFailed('given_up'));
  const attempt = createFetchAttempt(deps, underWay);
  const targetOf = createTargetOf(deps);
  const busy = new Map<string, Promise<unknown>>();
  const pause = createPause();
  let running: Promise<void> | null = null;

  const newClaim = () => {
    const at = now();
    return { at: new Date(at), until: new Date(at + LEASE_MS), claim: newId(), pauses: FETCH_PAUSES_MS };
  };

  /** Takes up what is due now, without waiting for any provider. */
  const look = async (): Promise<void> => {
    const sources = MAX_SOURCES - busy.size;
    if (sources <= 0) return;
    const claim = newClaim();
    const due = await fetches.claim({ ...claim, each: EACH, busy: [...busy.keys()], sources });
    for (const [source, batch] of Map.groupBy(due, (claimed) => claimed.source)) {
      const attempts = batch.map((claimed) => {
        const held = { claimed, claim: claim.claim, told: false, request: newId(), route: ROUTE };
        return attempt(held, () => targetOf(claimed));
      });
      const work = Promise.allSettled(attempts).finally(() => {
        busy.delete(source);
        // More may wait of it than was taken.
        if (batch.length === EACH) pause.wake();
      });
      busy.set(source, work);
    }
  };

  const run = async (): Promise<void> => {
    while (!underWay.isStopped()) {
      await look().catch(() => undefined);
      if (!underWay.isStopped()) await pause.take(LOOK_MS);
    }
  };

  return {
    /** Remembers what a callback asks for, and fetches it at once. Rejects with `in_progress` where another process does. */
    async take({ form, actor, request, route, ...target }: FetchRequest): Promise<FetchedRecording> {
      const { id: source, organisation } = actor;
      const deliveries = await deps.deliveryIndexes(organisation, target.recording.metadata);
      const callbackSealed = await deps.providerCallbacks.seal({ organisation, source }, keptForm(form));
      const claim = newClaim();
      const fetch = { id: newId(), organisation, source, deliveries, callbackSealed };
      const claimed = await fetches.remember(fetch, claim);
      if (claimed === null)
        throw new AppError('in_progress', 'This recording is being fetched right now.', { retryAfter: 5 });
      const held = { claimed, claim: claim.claim, told: true, request, route };
      return attempt(held, async () => target);
    },

    /** Goes on with what was remembered, until `stop`. */
    start(): void {
      running ??= run();
    },

    /** Gives up what is being fetched, to be fetched later; what is durable stays. Resolves when nothing is under way any more. */
    async stop(): Promise<void> {
      const ended = underWay.stop();
      pause.wake();
      await running;
      await Promise.all([ended, ...busy.values()]);
    },

    /** Gives up what nobody could ask for in all its time, and removes what was given up long ago; from the sweeper. */
    async forget(): Promise<void> {
      const at = now();
      for (const { id, call, fault } of await fetches.expire(new Date(at - FETCHED_FOR_MS), new Date(at)))
        deps.fetchGivenUp({ fetch: id, call, fault: fault ?? 'not_asked' });
      await fetches.forget(new Date(at - GIVEN_UP_KEPT_MS));
    },

    counts: () => fetches.counts(),
  };
};

export type RecordingFetches = ReturnType<typeof createRecordingFetches>;
