import type { FileState } from './file-digest.ts';
import { closeOpened, type HandedOver, type HandOver, handOverUnlinked, type Opened } from './hand-over.ts';
import { pauseAfter } from './pause.ts';
import type { WatchOptions } from './watch-options.ts';
import { putBack } from './watch-put-back.ts';

/** Files that were removed and are still held open at most, those that grew aside. */
const MAX_HELD = 64;

/** A file without a name, by the key under which it is delivered. */
export type Held = {
  readonly key: string;
  readonly opened: Opened;
  readonly since: number;
  state: FileState;
  changedAt: number;
  hasGrown: boolean;
  failures: number;
  at: number;
};
type UnlinkedOptions = Pick<WatchOptions, 'unseenRestMs' | 'pauses' | 'onEvent'>;

const isSame = (a: FileState, b: FileState): boolean => a.size === b.size && a.mtimeNs === b.mtimeNs;

const newHeld = (opened: Opened, key: string, now: number): Held => ({
  key,
  opened,
  since: now,
  state: opened.file.state,
  changedAt: now,
  hasGrown: false,
  failures: 0,
  at: 0,
});

/** Notes whether it was written to since the last look; answers that. */
const note = async (held: Held, now: number): Promise<boolean> => {
  // What cannot be looked at any more, as on a share that went away, cannot be delivered either.
  const file = await held.opened.file.asItIs().catch(() => null);
  if (file === null || isSame(file.state, held.state)) return false;
  [held.state, held.changedAt] = [file.state, now];
  return true;
};

/** One after the other, so that none looks at what another has just closed. */
const createTurns = () => {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };
};

/** Those that are held open, at most as many as may be. */
const createHeldFiles = (onEvent: UnlinkedOptions['onEvent']) => {
  const all = new Set<Held>();
  const drop = async (held: Held): Promise<void> => {
    all.delete(held);
    await closeOpened(held.opened);
  };
  const look = async (held: Held, now: number): Promise<void> => {
    if (!(await note(held, now))) return;
    if (!held.hasGrown) onEvent({ event: 'trouble', what: 'unlinked', code: 'written' });
    held.hasGrown = true;
  };
  return {
    all,
    drop,
    look,
    async giveBack(held: Held): Promise<void> {
      const code = await putBack(held.opened).catch(() => 'lost');
      onEvent({ event: 'trouble', what: 'unlinked', code });
      await drop(held);
    },
    /** Lets the oldest go, of those that have not grown. */
    async makeRoom(now: number): Promise<void> {
      const resting = [...all].filter(({ hasGrown }) => !hasGrown);
      for (const held of resting.slice(0, Math.max(0, resting.length - MAX_HELD))) {
        await look(held, now);
        if (!held.hasGrown) await drop(held);
      }
    },
  };
};

/**
 * Recordings that were removed while somebody unseen may have had them open. What is written to such a file has no name and
 * is lost with the last descriptor, so one is kept for as long as a file has to rest; has the file grown by then, it is
 * delivered as it is when it has rested again. What cannot be delivered before the end, or is refused, is put back.
 */
export const createUnlinked = ({ unseenRestMs, pauses, onEvent }: UnlinkedOptions, how: HandOver) => {
  const { all, drop, look, giveBack, makeRoom } = createHeldFiles(onEvent);
  const busy = new Set<Held>();
  const inTurn = createTurns();
  let count = 0;

  const isDue = (held: Held, now: number): boolean =>
    held.hasGrown && !busy.has(held) && held.at <= now && now - held.changedAt >= unseenRestMs;

  /** The last look. What has grown is delivered as it is, or put back. */
  const endOne = async (held: Held, signal: AbortSignal): Promise<HandedOver | null> => {
    await look(held, performance.now());
    if (!held.hasGrown) {
      await drop(held);
      return null;
    }
    const result = signal.aborted ? null : await handOverUnlinked(how, held.opened, signal).catch(() => null);
    if (result?.outcome === 'stored') await drop(held);
    else await giveBack(held);
    return result;
  };

  return {
    /** Whether it keeps what was removed: where nobody unseen may write it, only if it has grown already. */
    async take(opened: Opened, isUnsure: boolean): Promise<boolean> {
      const now = performance.now();
      count += 1;
      const held = newHeld(opened, `unlinked ${count}`, now);
      await look(held, now);
      if (!isUnsure && !held.hasGrown) return false;
      all.add(held);
      await inTurn(() => makeRoom(now));
      return true;
    },
    /** Looks at all of them; answers those that are to be delivered now. */
    due: (now: number): Promise<readonly Held[]> =>
      inTurn(async () => {
        for (const held of [...all].filter((one) => !busy.has(one))) {
          await look(held, now);
          if (!held.hasGrown && now - held.since >= unseenRestMs) await drop(held);
        }
        return [...all].filter((held) => isDue(held, now));
      }),
    async deliver(held: Held, signal: AbortSignal): Promise<HandedOver> {
      busy.add(held);
      try {
        return await handOverUnlinked(how, held.opened, signal);
      } finally {
        busy.delete(held);
      }
    },
    async settle(held: Held, result: HandedOver): Promise<void> {
      if (result.outcome === 'refused' || result.outcome === 'unreadable') return giveBack(held);
      if (result.outcome === 'stored') {
        // Written to while it was sent: once more, later.
        if (!(await note(held, performance.now()))) await drop(held);
        return;
      }
      held.failures += 1;
      const asked = result.outcome === 'later' ? result.retryAfter : null;
      held.at = performance.now() + pauseAfter(held.failures, asked, pauses);
    },
    /** When nothing is under way any more. */
    async end(signal: AbortSignal): Promise<readonly HandedOver[]> {
      const results: HandedOver[] = [];
      for (const held of all) {
        const result = await endOne(held, signal);
        if (result !== null) results.push(result);
      }
      return results;
    },
    isEmpty: (): boolean => all.size === 0,
  };
};

export type Unlinked = ReturnType<typeof createUnlinked>;
