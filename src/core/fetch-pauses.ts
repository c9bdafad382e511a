const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** In milliseconds: before the second attempt, the third, and so on; then the last one again and again. */
export const FETCH_PAUSES_MS = [
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
] as const;
/** However long a provider asks to be left alone. */
export const LONGEST_FETCH_PAUSE_MS = HOUR;
/** A recording is asked for no longer than so after the callback that named it. */
export const FETCHED_FOR_MS = 7 * 24 * HOUR;
/** A provider that has said so often in a row that there is no such recording is believed; two hours have gone by. */
const NO_SUCH_BELIEVED = 8;

/**
 * When a recording that was not handed over is asked for again, in milliseconds from now; null: never by itself. `attempts`
 * counts this one, and so does `noSuch`, for how often in a row the provider had no such recording; `ageMs` since the callback;
 * `retryAfterMs`: what the provider asked for; `random` from 0 up to 1 makes pauses up to a fifth shorter.
 */
export const afterFetch = (attempt: {
  readonly attempts: number;
  readonly noSuch: number;
  readonly ageMs: number;
  readonly retryAfterMs: number;
  readonly random: number;
}): number | null => {
  const { attempts, noSuch, ageMs, retryAfterMs, random } = attempt;
  const law = FETCH_PAUSES_MS[Math.min(attempts, FETCH_PAUSES_MS.length) - 1] ?? FETCH_PAUSES_MS[0];
  const asked = Math.min(retryAfterMs, LONGEST_FETCH_PAUSE_MS);
  const pause = Math.round(Math.max(law * (1 - 0.2 * random), asked));
  return noSuch >= NO_SUCH_BELIEVED || ageMs + pause > FETCHED_FOR_MS ? null : pause;
};
