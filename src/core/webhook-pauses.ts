const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Before the second attempt, the third, and so on; then the last one again and again. */
const PAUSES = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  4 * HOUR,
  8 * HOUR,
] as const;
/** A message is given up when it has failed for so long. */
export const GIVEN_UP_AFTER_MS = 72 * HOUR;
/** A receiver that fails is asked this seldom at most, whatever waits for it. */
const LONGEST_REST_MS = 5 * MINUTE;

/**
 * What follows from a failed attempt, in milliseconds from now: when the message is tried again (null: never by itself), and
 * when its receiver may be asked anything. `attempts` of the message and `failures` of the receiver in a row count this one;
 * `gone`: the receiver said that it wants no more; `random` from 0 up to 1 makes pauses differ by a fifth.
 */
export const afterAttempt = (attempt: {
  readonly attempts: number;
  readonly failures: number;
  readonly ageMs: number;
  readonly gone: boolean;
  readonly random: number;
}): { readonly next: number | null; readonly resume: number } => {
  const { attempts, failures, ageMs, gone, random } = attempt;
  const uneven = 0.8 + 0.4 * random;
  const pause = (PAUSES[Math.min(attempts, PAUSES.length) - 1] ?? PAUSES[0]) * uneven;
  const isOver = gone || ageMs + pause > GIVEN_UP_AFTER_MS;
  return {
    next: isOver ? null : Math.round(pause),
    resume: Math.round(Math.min(SECOND * 2 ** Math.min(failures, 20), LONGEST_REST_MS) * uneven),
  };
};
