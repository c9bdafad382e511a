import type { RecordingTable } from '../storage/recording-table.ts';

/** Makes a recording stored, as the table does, and counts its flags. */
export type StoreRecording = RecordingTable['store'];

/**
 * How many recordings this process has stored with each flag. Every recording becomes stored here, whether its source waits for
 * the answer, or it is fetched, completed or found again in the background; one that is stored already counts no more.
 */
export const createStoredFlags = ({ store }: Pick<RecordingTable, 'store'>) => {
  const counts = new Map<string, number>();
  const counted: StoreRecording = async (...asked) => {
    const flags = await store(...asked);
    for (const flag of flags ?? []) counts.set(flag, (counts.get(flag) ?? 0) + 1);
    return flags;
  };
  return { store: counted, counts: (): ReadonlyMap<string, number> => counts };
};
