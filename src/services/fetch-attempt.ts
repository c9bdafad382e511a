import type { SourceActor } from '../core/access.ts';
import type { AnnouncedCall } from '../core/announced-call.ts';
import { AppError, type ErrorCode } from '../core/errors.ts';
import { afterFetch } from '../core/fetch-pauses.ts';
import type { OrganisationId, SourceId } from '../core/ids.ts';
import type { ClaimedFetch, RecordingFetchTable } from '../storage/recording-fetch-table.ts';
import type { AnnounceCalls } from './announce-calls.ts';
import {
  createFetchRecording,
  type FetchAsked,
  type FetchedRecording,
  type FetchRecordingDeps,
} from './fetch-recording.ts';
import { fetchFailed } from './provider-media.ts';
import type { UnderWay } from './under-way.ts';

/** A recording that its provider does not hand over, or that is not taken; `call` is the announced call. */
export type GivenUp = { readonly fetch: string; readonly call: string | null; readonly fault: string };

export type FetchAttemptDeps = FetchRecordingDeps & {
  readonly fetches: Pick<
    RecordingFetchTable,
    'extendClaim' | 'announced' | 'failed' | 'release' | 'giveUp' | 'remove'
  >;
  readonly announceCalls: AnnounceCalls;
  /** Told once of each, to the operator. */
  readonly fetchGivenUp: (fields: GivenUp) => void;
  /** From 0 up to 1: pauses differ a little, so that providers are not asked in step. */
  readonly random: () => number;
  readonly now: () => number;
};

/** What one callback asks for, as it is read with the account of its source as it is now. */
export type FetchTarget = Pick<FetchAsked, 'account' | 'recording'> & { readonly call: AnnouncedCall };

/** A claimed recording, and on whose account it is asked for now: `told` by its callback, which waits, or by nobody. */
export type HeldFetch = {
  readonly claimed: ClaimedFetch;
  readonly claim: string;
  readonly told: boolean;
  readonly request: string;
  readonly route: string;
};

/** A process that died keeps a recording from others for so long; one that lives says so six times in it. */
export const LEASE_MS = 30_000;
const BEAT_MS = 5_000;

/** Would be answered the same however often it were fetched: what it is, what is here of it already, what its source may send. */
const final: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'refused_content',
  'too_large',
  'conflict',
  'forbidden',
]);
/** The provider says that it has no such recording. */
const noSuchFaults: ReadonlySet<string> = new Set(['status_404', 'status_410']);

const actorOf = ({ source, organisation }: ClaimedFetch): SourceActor => ({
  type: 'source',
  id: source as SourceId,
  role: 'source',
  organisation: organisation as OrganisationId,
  session: null,
});

/** Keeps others away until it is let go of; `lost` fires when that has failed. */
const createHold =
  ({ fetches, now }: FetchAttemptDeps) =>
  ({ claimed, claim }: HeldFetch) => {
    const lost = new AbortController();
    const beat = setInterval(() => {
      fetches.extendClaim(claimed.id, claim, new Date(now() + LEASE_MS)).then(
        (kept) => (kept ? undefined : lost.abort(fetchFailed('claim_lost'))),
        // A missed beat only brings others nearer; the next one finds out.
        () => undefined,
      );
    }, BEAT_MS);
    return { lost: lost.signal, letGo: (): void => clearInterval(beat) };
  };

/** What becomes of a recording that was not stored: asked for again, or given up once its entry is in the log. */
const createSettle =
  (deps: FetchAttemptDeps, underWay: UnderWay) =>
  async ({ claimed, claim, told, request }: HeldFetch, call: string | null, error: unknown) => {
    const { fetches, now } = deps;
    const { id, attempts } = claimed;
    const at = now();
    // Our own end is no fault of the provider.
    if (underWay.isStopped()) return fetches.release(id, claim, new Date(at));
    const { code, extras } = error instanceof AppError ? error : new AppError('internal', '');
    // Nobody misses it.
    if (code === 'erased') return fetches.remove(id);
    const fault = extras.why ?? code;
    const noSuch = noSuchFaults.has(fault) ? claimed.noSuch + 1 : 0;
    const ageMs = at - claimed.createdAt.getTime();
    const retryAfterMs = (extras.retryAfter ?? 0) * 1000;
    const pause = afterFetch({ attempts, noSuch, ageMs, retryAfterMs, random: deps.random() });
    if (pause !== null && !final.has(code))
      return fetches.failed(id, claim, { next: new Date(at + pause), fault, noSuch });
    // Of what was asked for again and again the end is an entry; what ingest refused has its own.
    if (!told && code === 'fetch_failed')
      await deps.recordUploadRefusal({ actor: actorOf(claimed), request, error });
    if (await fetches.giveUp(id, claim, fault, new Date(at))) deps.fetchGivenUp({ fetch: id, call, fault });
  };

/**
 * One attempt on a recording that is claimed: its call is announced first, so that the radar misses what never comes; then it
 * is fetched and stored, and forgotten. Rejects with what stood in the way, once it is settled when it is asked for again.
 */
export const createFetchAttempt = (deps: FetchAttemptDeps, underWay: UnderWay) => {
  const { fetches } = deps;
  const fetchRecording = createFetchRecording(deps, underWay);
  const holdOn = createHold(deps);
  const settle = createSettle(deps, underWay);

  return (held: HeldFetch, targetOf: () => Promise<FetchTarget>): Promise<FetchedRecording> =>
    underWay.run(async (stopped) => {
      const { claimed, told, request, route } = held;
      const actor = actorOf(claimed);
      const { lost, letGo } = holdOn(held);
      let { call } = claimed;
      const announce = async (announced: AnnouncedCall): Promise<void> => {
        if (call !== null && !told) return;
        const { ids } = await deps.announceCalls({ actor, request, route, calls: [announced], form: 'json' });
        [call = null] = ids;
        if (call !== null) await fetches.announced(claimed.id, call);
      };
      try {
        const target = await targetOf();
        const asked = { ...target, actor, request, told, again: claimed.attempts > 1 };
        const signal = AbortSignal.any([stopped, lost]);
        const stored = await fetchRecording(asked, () => announce(target.call), signal);
        // It is here: should the row stay, the next attempt finds that out.
        await fetches.remove(claimed.id).catch(() => undefined);
        return stored;
      } catch (error) {
        // What cannot be settled now stays claimed, and is asked for again when that is over.
        await settle(held, call, error).catch(() => undefined);
        throw error;
      } finally {
        letGo();
      }
    });
};

export type FetchAttempt = ReturnType<typeof createFetchAttempt>;
