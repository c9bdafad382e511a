import type { LoadResult } from './load.ts';

export type Load = () => Promise<LoadResult>;

const ROUNDS = 5;

const median = (results: readonly LoadResult[]): LoadResult =>
  results.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(ROUNDS / 2)] as LoadResult;

/**
 * Medians of rounds taken in turns, so that what else the machine does meets both alike. One round of each is not counted:
 * in it the code is compiled, which a service does once.
 */
export const inTurns = async (onBare: Load, onVault: Load): Promise<readonly [LoadResult, LoadResult]> => {
  const results: [LoadResult[], LoadResult[]] = [[], []];
  for (const run of [onBare, onVault]) await run();
  for (let round = 0; round < ROUNDS; round += 1) {
    results[0].push(await onBare());
    results[1].push(await onVault());
  }
  return [median(results[0]), median(results[1])];
};
