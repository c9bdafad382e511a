import type { ObjectStore } from '../storage/object-store.ts';
import type { PlaybackTable } from '../storage/playback-table.ts';
import type { RecordingTable } from '../storage/recording-table.ts';
import type { SettleIntent } from './settle-intent.ts';

export type SweepDeps = {
  readonly recordings: Pick<RecordingTable, 'staleIntents' | 'isUnderWay'>;
  readonly settle: SettleIntent;
  readonly sweepUploads: (graceMs: number) => Promise<void>;
  readonly objects: Pick<ObjectStore, 'sweep'>;
  readonly playbacks: Pick<PlaybackTable, 'removeExpired'>;
  readonly reconcileChanges: (graceMs: number) => Promise<number>;
  readonly forgetOldSessions: () => Promise<number>;
  readonly watchCalls: () => Promise<unknown>;
  readonly forgetMessages: () => Promise<void>;
  readonly forgetFetches: () => Promise<void>;
  readonly now: () => number;
};

export type Swept = {
  readonly stored: number;
  readonly removed: number;
  readonly changes: number;
  readonly leftovers: number;
};

/** Expired permissions are kept a while, so that a late "heard" statement still finds its playback. */
const PLAYBACK_KEPT_MS = 24 * 60 * 60_000;

/**
 * Says which announced calls have no recording. Completes or removes what was interrupted: uploads, audited changes, temporary files. Run at start (with no grace where
 * this process is the only one) and from time to time.
 */
export const createSweep =
  (deps: SweepDeps) =>
  async (graceMs: number): Promise<Swept> => {
    const before = new Date(deps.now() - graceMs);
    const swept = { stored: 0, removed: 0 };
    for (;;) {
      const rows = await deps.recordings.staleIntents(before);
      for (const row of rows) swept[await deps.settle(row)] += 1;
      if (rows.length === 0) break;
    }
    // After them: what was killed while it made a recording of an upload is decided by now.
    await deps.sweepUploads(graceMs);
    const changes = await deps.reconcileChanges(graceMs);
    const { removed: leftovers } = await deps.objects.sweep(before, (key) =>
      deps.recordings.isUnderWay(key, { since: before, at: new Date(deps.now()) }),
    );
    await deps.playbacks.removeExpired(new Date(deps.now() - PLAYBACK_KEPT_MS));
    await deps.forgetOldSessions();
    await deps.watchCalls();
    await deps.forgetMessages();
    await deps.forgetFetches();
    return { ...swept, changes, leftovers };
  };

export type Sweep = ReturnType<typeof createSweep>;
