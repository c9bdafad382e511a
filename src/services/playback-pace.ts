import { setTimeout as sleep } from 'node:timers/promises';

/** Sent at full speed before pacing begins. */
const BURST_BYTES = 4 * 1024 * 1024;
/** Afterwards a whole answer flows this much faster than it is heard, so that a revoked permission still means something. */
const SPEED = 8;
/** For recordings of unknown duration; twice telephone PCM. */
const UNKNOWN_BYTES_PER_SECOND = 32_000;

export type Paced = {
  readonly plainBytes: bigint | null;
  readonly durationMs: number | null;
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** Resolves after so many milliseconds; rejects when the signal fires. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<unknown>;
};

const realWait = (ms: number, signal: AbortSignal): Promise<unknown> => sleep(ms, undefined, { signal });

/** Waits before the piece at `start` as long as the pace asks; rejects when the listener hangs up. */
export const pacer = ({ plainBytes, durationMs, now, signal, wait = realWait }: Paced) => {
  const begun = now();
  const heardPerSecond =
    plainBytes === null || durationMs === null || durationMs <= 0
      ? UNKNOWN_BYTES_PER_SECOND
      : (Number(plainBytes) / durationMs) * 1000;
  return async (start: number): Promise<void> => {
    const due = begun + (Math.max(0, start - BURST_BYTES) / (heardPerSecond * SPEED)) * 1000;
    const early = due - now();
    if (early > 0) await wait(early, signal);
  };
};
