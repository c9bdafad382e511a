import { type PauseLimits, pause, pauseAfter } from './pause.ts';

/** What a delivery that was let through found out about the vault: it answers, it does not, or nothing. */
export type Finding = 'answers' | 'nothing' | { readonly retryAfter: number | null };
/** For {@link DeliveryGate.leave}. */
export type Passage = { readonly round: number; readonly isTry: boolean };

/** How often those who wait look whether the way is free, in milliseconds. */
const LOOK_MS = 200;

/**
 * Between an agent and its vault: while the vault does not take deliveries, one at a time is tried, after pauses that grow;
 * when one gets through, all do again. Which file is tried is for the caller to change, so that no single file can hold up
 * the others.
 */
export const createDeliveryGate = (limits: PauseLimits, now: () => number = () => performance.now()) => {
  let failures = 0;
  let openAt = 0;
  let isTrying = false;
  /** Counts the failures that counted: what was under way before one says nothing new. */
  let round = 0;

  return {
    /** Resolves when a delivery may be tried; to null when the signal came first. */
    async enter(signal: AbortSignal): Promise<Passage | null> {
      while (!signal.aborted) {
        if (failures === 0) return { round, isTry: false };
        const wait = openAt - now();
        if (!isTrying && wait <= 0) {
          isTrying = true;
          return { round, isTry: true };
        }
        await pause(Math.max(1, isTrying ? LOOK_MS : Math.min(wait, 60_000)), signal);
      }
      return null;
    },
    /** Of several that were under way when the vault went, one counts. Returns the pause from now on, in whole milliseconds. */
    leave({ round: entered, isTry }: Passage, finding: Finding): number {
      if (finding === 'answers') failures = 0;
      else if (finding !== 'nothing' && entered === round) {
        failures += 1;
        round += 1;
        openAt = now() + pauseAfter(failures, finding.retryAfter, limits);
      }
      if (isTry) isTrying = false;
      return failures === 0 ? 0 : Math.max(0, Math.ceil(openAt - now()));
    },
    failures: (): number => failures,
  };
};

export type DeliveryGate = ReturnType<typeof createDeliveryGate>;
