import type { FileState } from '../file-digest.ts';

const DAY_MS = 86_400_000;

/** Whether a file may still be written, for it was touched not long ago. A time far ahead is a wrong clock's, and says nothing. */
export const isYoung = ({ mtimeNs }: Pick<FileState, 'mtimeNs'>, minAgeMs: number, now: number): boolean => {
  const age = now - Number(mtimeNs / 1_000_000n);
  return age < minAgeMs && age > -DAY_MS;
};

/** How long a file must not have been touched, in milliseconds. */
export type MinAge = {
  readonly seenMs: number;
  /** Where somebody who cannot be seen might hold it open: on a share above all. */
  readonly unseenMs: number;
};

/** A minute, or an hour where a writer may be unseen: a call is on hold for some of that, and nothing is written meanwhile. */
export const MIN_AGE: MinAge = { seenMs: 60_000, unseenMs: 3_600_000 };
