import type { AuditWriter } from '../audit/writer.ts';
import type { SourceActor } from '../core/access.ts';
import type { AnnouncedCall } from '../core/announced-call.ts';
import type { CallTable } from '../storage/call-table.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';
import { createSealCall, type IndexedCall, type KnownCall, type SealCallDeps } from './seal-call.ts';

export type AnnounceCallsDeps = SealCallDeps & {
  readonly calls: Pick<CallTable, 'known' | 'announce'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly authority: Pick<Authority, 'inOrganisation'>;
  readonly now: () => number;
};

type Asked = Omit<Caller, 'actor'> & {
  readonly actor: SourceActor;
  readonly calls: readonly AnnouncedCall[];
  /** In what form they came. */
  readonly form: 'json' | 'csv';
};

export type Announced = {
  /** Ids of the calls in the order in which they came; null for one that is older than calls are kept. */
  readonly ids: readonly (string | null)[];
};

const DAY_MS = 86_400_000;
/** For how long announced calls are kept, from their beginning on (docs/decisions/0019). */
export const CALLS_KEPT_MS = 90 * DAY_MS;
/** Kept by one statement each, so that nothing else waits long. */
const BATCH = 500;

const hex = (index: Buffer | undefined): string => index?.toString('hex') ?? '';
const byIndex = (rows: readonly KnownCall[]): ReadonlyMap<string, KnownCall> =>
  new Map(rows.map((row) => [hex(row.callIdIndex), row]));

/**
 * Keeps what a source says of its calls, so that a missing recording is noticed. One entry of the access log stands for the
 * whole batch and is committed first; what is announced twice is one call, and the later word counts, within a batch too.
 */
export const createAnnounceCalls = (deps: AnnounceCallsDeps) => {
  const { calls: table, audit, now } = deps;
  const seal = createSealCall(deps);

  /** Keeps calls of different ids; answers the id of each. */
  const keep = async ({ id: source, organisation }: SourceActor, batch: readonly IndexedCall[]) => {
    const before = byIndex(
      await table.known(
        source,
        batch.flatMap(({ indexes }) => indexes),
      ),
    );
    const rows = await Promise.all(
      batch.map((one) => {
        const known = one.indexes.map((index) => before.get(hex(index))).find((row) => row !== undefined);
        return seal.row(organisation, one, known);
      }),
    );
    const after = byIndex(await table.announce({ organisation, source }, rows, new Date(now())));
    return batch.map(
      ({ call }, n) => [call.callId, after.get(hex(rows[n]?.callIdIndex))?.id ?? null] as const,
    );
  };

  const record = async ({ calls, form, ...caller }: Asked, tooOld: number): Promise<void> => {
    const base = eventBase(caller.actor, caller.request, now());
    const expected = calls.filter((call) => call.expected).length;
    const detail = { count: calls.length, expected, tooOld, form };
    await audit.append({ ...base, action: 'calls.announced', outcome: 'success', detail });
  };

  return async (asked: Asked): Promise<Announced> => {
    const { actor, calls } = asked;
    await deps.authority.inOrganisation(asked, 'call.announce');
    const oldest = now() - CALLS_KEPT_MS;
    const recent = calls.filter(({ startedAt }) => startedAt >= oldest);
    const newest = [...new Map(recent.map((call) => [call.callId, call])).values()];
    await record(asked, calls.length - recent.length);
    const ids = new Map<string, string | null>();
    for (let from = 0; from < newest.length; from += BATCH) {
      const some = newest.slice(from, from + BATCH);
      const batch = await Promise.all(some.map((call) => seal.index(actor.organisation, call)));
      for (const [callId, id] of await keep(actor, batch)) ids.set(callId, id);
    }
    return {
      ids: calls.map(({ callId, startedAt }) => (startedAt < oldest ? null : (ids.get(callId) ?? null))),
    };
  };
};

export type AnnounceCalls = ReturnType<typeof createAnnounceCalls>;
