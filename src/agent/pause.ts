import { setTimeout as sleep } from 'node:timers/promises';

export type PauseLimits = {
  /** The first pause, in milliseconds; each failure doubles it. */
  readonly firstMs: number;
  readonly ceilingMs: number;
  /** From 0 to 1. */
  readonly random?: () => number;
};

/** What the vault asks for is honoured up to this: a slip there must not put an agent to sleep for good. */
const LONGEST_ASKED_MS = 3_600_000;

/**
 * The pause after so many failures in a row (1 or more), in milliseconds: doubled each time up to the ceiling, and anything
 * between half of that and all of it, so that agents which lost one vault do not come back in one instant. `retryAfter`,
 * what the vault asked for in seconds, lengthens it.
 */
export const pauseAfter = (
  failures: number,
  retryAfter: number | null,
  { firstMs, ceilingMs, random = Math.random }: PauseLimits,
): number => {
  const whole = Math.min(ceilingMs, firstMs * 2 ** Math.min(failures - 1, 30));
  const asked = Math.min((retryAfter ?? 0) * 1_000, LONGEST_ASKED_MS);
  return Math.round(Math.max(whole * (0.5 + random() / 2), asked + (asked > 0 ? firstMs * random() : 0)));
};

/** Resolves after the time, or at once when the signal says so; never rejects. */
export const pause = async (ms: number, signal?: AbortSignal): Promise<void> => {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
};
