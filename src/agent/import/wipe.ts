import { unlink } from 'node:fs/promises';
import { isAppError } from '../../core/errors.ts';
import { openFile } from '../file-digest.ts';
import { pause } from '../pause.ts';
import { openSideFile, removeTogether, type SideFile } from '../side-files.ts';
import type { VaultQuestions } from '../vault-questions.ts';
import { isSameFile, type Journal, type JournalEntry } from './journal.ts';
import { forAll } from './run-import.ts';
import type { Found } from './walk.ts';

/** Why a file that was verified stays. */
export type Kept = 'changed' | 'not_in_vault' | 'vault_away' | 'not_removed';
export type Wiped = { readonly wiped: number; readonly kept: Readonly<Partial<Record<Kept, number>>> };

export type WipeDeps = {
  readonly folder: string;
  readonly parallel: number;
  readonly journal: Pick<Journal, 'idOf' | 'find' | 'append'>;
  readonly questions: Pick<VaultQuestions, 'status'>;
  readonly onWiped: (progress: Wiped) => void;
};

const TRIES = 5;

/**
 * Removes what was verified, and nothing else: the file is the one that was verified (inode, size, time and, read once more,
 * its digest), and the vault says now that it has it. The journal's line comes after the removal: after a crash between the two
 * the file is one that was verified and is gone.
 */
export const createWipe = ({ folder, parallel, journal, questions, onWiped }: WipeDeps) => {
  const isStored = async (recording: string, signal: AbortSignal): Promise<true | Kept> => {
    for (let tries = 1; ; tries += 1) {
      const answer = await questions.status(recording, signal);
      if (answer.outcome === 'answered') return true;
      if (answer.outcome === 'denied') return 'not_in_vault';
      if (tries >= TRIES) return 'vault_away';
      await pause(Math.max((answer.retryAfter ?? 0) * 1000, 200 * 2 ** tries), signal);
    }
  };

  /** What says more of a recording than the vault was told does not go, and neither does the recording. */
  const isTold = (side: SideFile | null, { side: known }: JournalEntry): boolean =>
    side === null || (known !== undefined && known.kind === side.kind && isSameFile(known, side.file.state));

  /** Null: not one of those that may go. */
  const wipe = async (
    found: Found & { readonly kind: 'file' },
    signal: AbortSignal,
  ): Promise<'wiped' | Kept | null> => {
    const file = journal.idOf(found.relative);
    const known = await journal.find(file);
    if (known?.outcome !== 'verified' || known.sha256 === undefined || known.recording === undefined)
      return null;
    const opened = await openFile(found.path).catch(() => null);
    if (opened === null) return 'changed';
    let side: SideFile | null = null;
    try {
      side = await openSideFile(found.path);
      if (!isTold(side, known)) return 'changed';
      if (!isSameFile(known, opened.state) || (await opened.digest(signal)) !== known.sha256)
        return 'changed';
      const stored = await isStored(known.recording, signal);
      if (stored !== true) return stored;
      // As near to the end as can be: what stands under the name is what was read.
      if (!(await opened.unchanged())) return 'changed';
      await removeTogether(side, found.path, () => unlink(found.path).then(() => true));
    } catch (error) {
      signal.throwIfAborted();
      const isOther = isAppError(error, 'not_acceptable_metadata');
      return isOther || (error as NodeJS.ErrnoException).code === 'ECHANGED' ? 'changed' : 'not_removed';
    } finally {
      await side?.file.close();
      await opened.close();
    }
    await journal.append({ ...known, outcome: 'wiped' });
    return 'wiped';
  };

  return async (signal: AbortSignal): Promise<Wiped> => {
    let progress: Wiped = { wiped: 0, kept: {} };
    await forAll(
      folder,
      parallel,
      async (found, cut) => {
        const result = found.kind === 'file' ? await wipe(found, cut) : null;
        if (result === null) return;
        if (result === 'wiped') progress = { ...progress, wiped: progress.wiped + 1 };
        else
          progress = { ...progress, kept: { ...progress.kept, [result]: (progress.kept[result] ?? 0) + 1 } };
        onWiped(progress);
      },
      signal,
    );
    return progress;
  };
};
