import type { Journal, JournalEntry } from './journal.ts';
import { forAll } from './run-import.ts';
import type { Found } from './walk.ts';
import { createWipeFile, type Known, type Stays, type WipeFileDeps } from './wipe-file.ts';

/** Why a file that was verified was not removed. */
export type Kept = Stays | 'gone';
export type Wiped = { readonly wiped: number; readonly kept: Readonly<Partial<Record<Kept, number>>> };

export type WipeDeps = WipeFileDeps & {
  readonly folder: string;
  readonly journal: Pick<Journal, 'idOf' | 'find' | 'append' | 'entries'>;
  readonly onWiped: (progress: Wiped) => void;
};

/** Files that wait for one look at the processes, beside those that are read: such a look takes longer than most files. */
const WAITING = 250;

const isVerified = (entry: JournalEntry | null): entry is Known =>
  entry?.outcome === 'verified' && entry.sha256 !== undefined && entry.recording !== undefined;

/** What is known of a file after it was tried: some of what kept it says that it is stored all the same, and some that it is not. */
const entryOf = (known: Known, result: 'wiped' | Stays): JournalEntry => {
  const { kept: _before, ...rest } = known;
  const isOutcome =
    result === 'wiped' || result === 'changed' || result === 'not_in_vault' || result === 'damaged_in_vault';
  return isOutcome ? { ...rest, outcome: result } : { ...rest, kept: result };
};

/**
 * Removes what was verified ({@link createWipeFile}), and nothing else. What stays is written down, so that the next import takes
 * it again where it has to. The journal's line comes after the removal: after a crash between the two the file is one
 * that was verified and is gone.
 */
export const createWipe = (deps: WipeDeps) => {
  const { folder, parallel, journal, onWiped } = deps;
  const wipeFile = createWipeFile(deps);

  /** Null: not one of those that may go. */
  const wipe = async (found: Found, signal: AbortSignal): Promise<'wiped' | Stays | null> => {
    const known = await journal.find(journal.idOf(found.relative), 'wipe');
    if (found.kind !== 'file' || !isVerified(known)) return null;
    const result = await wipeFile(found.path, known, signal);
    await journal.append(entryOf(known, result));
    return result;
  };

  /** Verified files that the import met and that are there no more: a folder by now, moved, or removed by somebody else. */
  const settleGone = async (): Promise<number> => {
    const gone: JournalEntry[] = [];
    for await (const { entry, met, metAgain } of journal.entries())
      if (entry.outcome === 'verified' && met && !metAgain) gone.push({ ...entry, kept: 'gone' });
    await Promise.all(gone.map(journal.append));
    return gone.length;
  };

  return async (signal: AbortSignal): Promise<Wiped> => {
    let wiped = 0;
    const kept: Partial<Record<Kept, number>> = {};
    await forAll(
      folder,
      parallel + WAITING,
      async (found, cut) => {
        const result = await wipe(found, cut);
        if (result === null) return;
        if (result === 'wiped') wiped += 1;
        else kept[result] = (kept[result] ?? 0) + 1;
        onWiped({ wiped, kept });
      },
      signal,
    );
    const gone = await settleGone();
    return { wiped, kept: gone === 0 ? kept : { ...kept, gone } };
  };
};
