import type { FileState } from '../file-digest.ts';

const DAY_MS = 86_400_000;

/** Whether a file may still be written, for it was touched not long ago. A time far ahead is a wrong clock's, and says nothing. */
export const isYoung = ({ mtimeNs }: Pick<FileState, 'mtimeNs'>, minAgeMs: number, now: number): boolean => {
  const age = now - Number(mtimeNs / 1_000_000n);
  return age < minAgeMs && age > -DAY_MS;
};
