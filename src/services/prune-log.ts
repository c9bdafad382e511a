import type { LogBodies, OldestBodies, Prune } from '../audit/log-bodies.ts';
import type { AuditReader } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { FEWEST_YEARS, yearsBefore } from '../core/audit/pruned.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { HoldTable } from '../storage/hold-table.ts';
import { newEventId } from './new-event-id.ts';

export type PruneLogDeps = {
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly log: Pick<AuditReader, 'search'>;
  readonly bodies: LogBodies;
  /** Acts as the retention role. */
  readonly prune: Prune;
  readonly holds: Pick<HoldTable, 'heldRecordings'>;
  /** How long bodies are kept. */
  readonly floorYears: number;
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
};

/** Bodies of the entries [from, to) that were removed. */
export type PrunedPart = { readonly from: number; readonly to: number; readonly bodies: number };

const TRIES = 20;
const PAUSE_MS = 3_000;

const isOlderThan = (limit: number, { newest, appended, next }: OldestBodies): boolean =>
  next !== null && Math.max(newest, appended, next) <= limit;

/** The limit that counts: what was asked for, but never within the floor. */
const limitOf = (before: number, { floorYears, now }: PruneLogDeps): number => {
  if (!Number.isInteger(floorYears) || floorYears < FEWEST_YEARS)
    throw new AppError('config_invalid', `AUDIT_RETENTION_YEARS must be ${FEWEST_YEARS} or more.`);
  const limit = yearsBefore(now(), floorYears);
  if (before > limit)
    throw new AppError(
      'retention_floor',
      `Bodies of the access log are kept ${floorYears} years: nothing after ${new Date(limit).toISOString().slice(0, 10)} can be removed yet.`,
    );
  return before;
};

const assertNotHeld = async ({ holds, bodies }: PruneLogDeps, { from, to }: OldestBodies): Promise<void> => {
  const held = await holds.heldRecordings();
  if (held.length > 0 && (await bodies.concern(held, from, to)))
    throw new AppError(
      'held',
      `Entries ${from} to ${to - 1} tell of a recording that is held: they stay until the hold is released.`,
    );
};

/** Tells of the removal in the log, unless it was told already by somebody who could not finish. */
const tell = async ({ audit, log, floorYears, now }: PruneLogDeps, to: number): Promise<void> => {
  const { entries } = await log.search({
    audience: { scope: 'installation' },
    action: 'log.pruned',
    limit: 1,
  });
  const last = entries[0]?.event;
  if (last?.action === 'log.pruned' && last.detail.to === to && last.detail.floor === floorYears) return;
  await audit.append({
    id: newEventId(now()),
    at: now(),
    action: 'log.pruned',
    outcome: 'success',
    actor: { type: 'operator', id: null, role: null },
    organisation: null,
    unit: null,
    recording: null,
    subject: null,
    purpose: null,
    session: null,
    request: null,
    // From the beginning, so that the newest of these entries alone accounts for all that is gone.
    detail: { from: 0, to, floor: floorYears },
  });
};

/** Whoever reads the log is let finish, for a while. */
const pruneWhenFree = async ({ prune, pause, floorYears }: PruneLogDeps, number: number): Promise<number> => {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await prune(number, floorYears);
    } catch (error) {
      if (!isAppError(error, 'in_progress') || left <= 1) throw error;
      await pause(PAUSE_MS);
    }
  }
};

/**
 * Removes bodies and salts of the access log older than `before` (milliseconds since 1970) and than the legal floor, by
 * whole partitions, oldest first; each is told of in the log before it goes. Resolves to what was removed, which may be
 * nothing. Safe to run again. Rejects with `retention_floor` for a time within the floor, `held`, `in_progress`.
 */
export const createPruneLog =
  (deps: PruneLogDeps) =>
  async (before: number): Promise<readonly PrunedPart[]> => {
    const limit = limitOf(before, deps);
    const parts: PrunedPart[] = [];
    for (;;) {
      const oldest = await deps.bodies.oldest();
      if (oldest === null || !isOlderThan(limit, oldest)) return parts;
      await assertNotHeld(deps, oldest);
      await tell(deps, oldest.to);
      parts.push({ from: oldest.from, to: oldest.to, bodies: await pruneWhenFree(deps, oldest.number) });
    }
  };

export type PruneLog = ReturnType<typeof createPruneLog>;
