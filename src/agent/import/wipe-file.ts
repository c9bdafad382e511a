import { isAppError } from '../../core/errors.ts';
import { type OpenFile, openFile } from '../file-digest.ts';
import { pause } from '../pause.ts';
import { openSideFile, removeTogether, type SideFile } from '../side-files.ts';
import type { VaultQuestions } from '../vault-questions.ts';
import { isYoung, type MinAge } from './is-young.ts';
import { isSameFile, type JournalEntry, type KeptReason } from './journal.ts';
import type { AskWriters } from './writers.ts';

/** Why a file that was verified stays. */
export type Stays = Exclude<KeptReason, 'gone'> | 'changed' | 'not_in_vault' | 'damaged_in_vault';

/** What was once verified, as the journal has it. */
export type Known = JournalEntry & { readonly sha256: string; readonly recording: string };

export type WipeFileDeps = {
  readonly questions: Pick<VaultQuestions, 'verify'>;
  /** Looks at the processes after it was asked. */
  readonly writersOf: AskWriters;
  /** What was touched since may still be written. */
  readonly minAge: MinAge;
  readonly now: () => number;
  /** How many files are read at a time, here and in the vault; more may wait for a look at the processes. */
  readonly parallel: number;
};

const TRIES = 5;

/** At most so many at a time; the others wait in order. */
const createTurns = (most: number) => {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async <T>(act: () => Promise<T>): Promise<T> => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
};

/** Codes of the vault by which there is no such recording; with every other denial it is there, and is not what was sent. */
const ABSENT: ReadonlySet<string> = new Set(['not_found', 'erased', 'invalid_request']);

/**
 * Removes one file, if it is the one that was verified (inode, size, time and, read once more, its digest), was not touched for a
 * while, a longer one where a writer may be unseen, and no process that can be seen holds it open for writing; and if the vault has just read it back from its store,
 * for weeks may lie between import and removal. All of that holds for its side file as well, but for the vault, which cannot give
 * that back. Throws the signal's reason.
 */
export const createWipeFile = ({ questions, writersOf, minAge, now, parallel }: WipeFileDeps) => {
  const inTurn = createTurns(parallel);
  const isStored = async (
    { recording, sha256, bytes = 0 }: Known,
    signal: AbortSignal,
  ): Promise<true | Stays> => {
    for (let tries = 1; ; tries += 1) {
      const answer = await questions.verify(recording, { sha256, bytes }, signal);
      if (answer.outcome === 'answered') return true;
      if (answer.outcome === 'denied') return ABSENT.has(answer.code) ? 'not_in_vault' : 'damaged_in_vault';
      if (tries >= TRIES) return 'vault_away';
      await pause(Math.max((answer.retryAfter ?? 0) * 1000, 200 * 2 ** tries), signal);
    }
  };

  const isStillThere = async (known: Known, file: OpenFile, signal: AbortSignal): Promise<true | Stays> =>
    (await file.digest(signal)) === known.sha256 ? isStored(known, signal) : 'changed';

  /** What says more of a recording than the vault was told does not go, and neither does the recording. */
  const isTold = (side: SideFile | null, { side: known }: Known): boolean =>
    side === null || (known !== undefined && known.kind === side.kind && isSameFile(known, side.file.state));

  const wipeOpened = async (
    path: Buffer,
    known: Known,
    file: OpenFile,
    side: SideFile | null,
    signal: AbortSignal,
  ): Promise<'wiped' | Stays> => {
    const both = side === null ? [file] : [file, side.file];
    if (!isTold(side, known) || !isSameFile(known, file.state)) return 'changed';
    // The facts that the vault keeps of bytes are those that came with them first, which may have been another file's.
    if (side !== null && known.created === false) return 'side_file_not_told';
    if (known.kept === 'name_not_told') return known.kept;
    const isTouched = (ms: number): boolean => both.some(({ state }) => isYoung(state, ms, now()));
    if (isTouched(minAge.seenMs)) return 'growing';
    const stored = await inTurn(() => isStillThere(known, file, signal));
    if (stored !== true) return stored;
    const writers = await writersOf(side === null ? [path] : [path, side.path]);
    if (writers === 'held_open' || (writers === 'unseen' && isTouched(minAge.unseenMs))) return 'growing';
    // As near to the end as can be: what stands under the names is what was read.
    for (const one of both) if (!(await one.unchanged())) return 'changed';
    return (await removeTogether(side, path, file)) ? 'wiped' : 'changed';
  };

  return async (path: Buffer, known: Known, signal: AbortSignal): Promise<'wiped' | Stays> => {
    const file = await openFile(path).catch(() => null);
    if (file === null) return 'changed';
    let side: SideFile | null = null;
    try {
      side = await openSideFile(path);
      return await wipeOpened(path, known, file, side, signal);
    } catch (error) {
      signal.throwIfAborted();
      const isOther = isAppError(error, 'not_acceptable_metadata');
      return isOther || (error as NodeJS.ErrnoException).code === 'ECHANGED' ? 'changed' : 'not_removed';
    } finally {
      await side?.file.close();
      await file.close();
    }
  };
};

export type WipeFile = ReturnType<typeof createWipeFile>;
