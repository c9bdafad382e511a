import type { Alone } from './scan-folder.ts';
import type { WatchEvent } from './watch-options.ts';

/** So long a recording waits for its side file, and the other way round, before it is said, in milliseconds. */
const LATE_MS = 600_000;

/**
 * Recordings whose side files do not come, and side files whose recordings do not: counted at every look, and said when there
 * are more of them that have waited for long. `once`: for an agent that ends before it could see them wait.
 */
export const createSideWatch = (onEvent: (event: WatchEvent) => void, lateMs = LATE_MS) => {
  let since = new Map<string, number>();
  let next: typeof since = new Map();
  const said = { side_file: 0, recording: 0 };
  let counts = { withoutSide: 0, sidesAlone: 0 };
  let late = { side_file: 0, recording: 0 };

  const note = (key: string, now: number, what: keyof typeof late, isLate: boolean): void => {
    const from = since.get(key) ?? now;
    next.set(key, from);
    if (isLate || now - from >= lateMs) late[what] += 1;
  };

  return {
    begin(): void {
      next = new Map();
      counts = { withoutSide: 0, sidesAlone: 0 };
      late = { side_file: 0, recording: 0 };
    },
    /** A finished recording that waits for its side file. */
    waits(key: string, now: number, once: boolean): void {
      counts.withoutSide += 1;
      note(key, now, 'side_file', once);
    },
    end(alone: readonly Alone[], now: number, once: boolean): void {
      for (const { key, changedMs } of alone)
        note(key, now, 'recording', once && Date.now() - changedMs >= lateMs);
      counts.sidesAlone = alone.length;
      since = next;
      for (const what of ['side_file', 'recording'] as const) {
        if (late[what] > said[what]) onEvent({ event: 'missing', what, files: late[what] });
        said[what] = late[what];
      }
    },
    counts: () => counts,
  };
};
