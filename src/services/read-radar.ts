import { decodeCursor, encodeCursor } from '../core/keyset.ts';
import type { CallTable } from '../storage/call-table.ts';
import type { RadarDay, RadarFinding, RadarRow, RadarTable } from '../storage/radar-table.ts';
import { CALLS_KEPT_MS } from './announce-calls.ts';
import type { Authority, Caller } from './authority.ts';
import { invalid } from './fault.ts';
import { DEFAULT_LIMIT, type ListQuery, MAX_LIMIT, type Page } from './page.ts';

export type ReadRadarDeps = {
  readonly radar: RadarTable;
  readonly authority: Pick<Authority, 'inOrganisation'>;
  /** How long after its end a call's recording is waited for. */
  readonly graceMs: number;
  readonly now: () => number;
};

const DAY_MS = 86_400_000;
/** Days of one question; calls are kept for little longer than three of them. */
export const MAX_DAYS = 31;

/** First moment of a day of the calendar, UTC; the form has been checked by the route. */
const dayAt = (day: string, where: string): number => {
  const at = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== day)
    throw invalid(where, 'is no day such as 2026-03-01');
  return at;
};

type Asked = { readonly from: string; readonly to: string };
export type FindingQuery = ListQuery & {
  readonly source: string;
  readonly day: string;
  readonly finding: RadarFinding;
};

/** How many of the last day's calls and recordings have which finding. */
export type RadarTotals = Readonly<
  Pick<RadarDay, 'announced' | 'missing' | 'short' | 'unannounced' | 'oneSided' | 'silent' | 'noSound'>
>;

export type LastDay = { readonly whole: RadarTotals; readonly sources: ReadonlyMap<string, RadarTotals> };

/** A line of metrics for each is kept by whoever collects them, so that there must be an end to them. */
const MAX_SOURCES = 200;

const totalsOf = (days: readonly RadarDay[]): RadarTotals => {
  const sum = (name: keyof RadarTotals): number => days.reduce((total, day) => total + day[name], 0);
  return {
    announced: sum('announced'),
    missing: sum('missing'),
    short: sum('short'),
    unannounced: sum('unannounced'),
    oneSided: sum('oneSided'),
    silent: sum('silent'),
    noSound: sum('noSound'),
  };
};

const weightOf = ({ announced, ...found }: RadarTotals): number =>
  Object.values(found).reduce((total, count) => total + count, 0);

/** Calls that were announced against recordings that came. Whoever asks sees ids, days and counts, and learns of nobody. */
export const createReadRadar = ({ radar, authority, graceMs, now }: ReadRadarDeps) => {
  const before = (): Date => new Date(now() - graceMs);

  return {
    /** By source and day, `to` included, 31 days at most. */
    async days(caller: Caller, { from, to }: Asked): Promise<readonly RadarDay[]> {
      const organisation = await authority.inOrganisation(caller, 'radar.read');
      const [first, last] = [dayAt(from, 'querystring/from'), dayAt(to, 'querystring/to')];
      if (last < first || last - first >= MAX_DAYS * DAY_MS)
        throw invalid('querystring/to', `must lie at most ${MAX_DAYS - 1} days after from`);
      return radar.days(organisation, { from: new Date(first), to: new Date(last + DAY_MS) }, before());
    },

    /** Which calls (`missing`, `short`) or recordings (the others) of one source and day, oldest first. */
    async find(caller: Caller, { source, day, finding, ...query }: FindingQuery): Promise<Page<RadarRow>> {
      const organisation = await authority.inOrganisation(caller, 'radar.read');
      const limit = Math.min(query.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
      const after = query.cursor === undefined ? null : decodeCursor(query.cursor);
      if (query.cursor !== undefined && after === null)
        throw invalid('querystring/cursor', 'is not one that an earlier answer gave');
      const from = dayAt(day, 'querystring/day');
      const span = { from: new Date(from), to: new Date(from + DAY_MS) };
      const rows = await radar.find({
        ...span,
        organisation,
        source,
        finding,
        before: before(),
        after,
        limit: limit + 1,
      });
      const items = rows.slice(0, limit);
      const last = items.at(-1);
      const more = rows.length > limit && last !== undefined;
      return { items, next: more ? encodeCursor({ at: last.startedAt, id: last.id }) : null };
    },

    /**
     * Of the last 24 hours that are judged already, for the operator's metrics: all together, and by source, at most
     * {@link MAX_SOURCES} of them; those with least to find are left out first.
     */
    async lastDay(): Promise<LastDay> {
      const to = before();
      const days = await radar.days(null, { from: new Date(to.getTime() - DAY_MS), to }, to);
      const bySource = [...Map.groupBy(days, ({ source }) => source)].map(
        ([source, its]) => [source, totalsOf(its)] as const,
      );
      const worst = bySource.toSorted(([, a], [, b]) => weightOf(b) - weightOf(a)).slice(0, MAX_SOURCES);
      return { whole: totalsOf(days), sources: new Map(worst) };
    },
  };
};

export type ReadRadar = ReturnType<typeof createReadRadar>;

export type WatchCallsDeps = {
  readonly calls: Pick<CallTable, 'settle' | 'forget'>;
  readonly graceMs: number;
  readonly now: () => number;
};

/** One round of the sweeper: says of each call once whether its recording is missing, and erases calls that are old. */
export const createWatchCalls =
  ({ calls, graceMs, now }: WatchCallsDeps) =>
  async (): Promise<{ readonly missing: number }> => {
    let missing = 0;
    for (;;) {
      const at = new Date(now());
      const round = await calls.settle(new Date(at.getTime() - graceMs), at);
      missing += round.missing;
      if (round.settled === 0) break;
    }
    while ((await calls.forget(new Date(now() - CALLS_KEPT_MS))) > 0);
    return { missing };
  };

export type WatchCalls = ReturnType<typeof createWatchCalls>;
