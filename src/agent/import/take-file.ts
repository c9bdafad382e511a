import { FileChanged, type OpenFile, openFile } from '../file-digest.ts';
import { nameOf } from './call-of.ts';
import { createDeliverFile, type DeliverFileDeps, type Fault, type Verified } from './deliver-file.ts';
import { inspect } from './inspect.ts';
import { isSameFile, type Journal, type JournalEntry, stateOf } from './journal.ts';
import type { Found } from './walk.ts';

export type TakeFileDeps = DeliverFileDeps & {
  readonly journal: Pick<Journal, 'idOf' | 'find' | 'append'>;
  /** Younger files may still be written. */
  readonly minAgeMs: number;
  readonly now: () => number;
};

/** What became of one thing in the share, in this run. */
export type Taken = {
  readonly entry: JournalEntry;
  readonly bytes: number;
  /** True: an earlier run had settled it, and nothing was read. */
  readonly before: boolean;
};

const DAY_MS = 86_400_000;

const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^E[A-Z0-9_]{1,30}$/.test(code) ? code : 'EUNKNOWN';
};

export const createTakeFile = (deps: TakeFileDeps) => {
  const { journal, minAgeMs, now } = deps;
  const deliver = createDeliverFile(deps);

  const takeOpened = async (file: OpenFile, found: Found, signal: AbortSignal): Promise<Verified | Fault> => {
    const age = now() - Number(file.state.mtimeNs / 1_000_000n);
    // A time far ahead is a wrong clock's, and says nothing.
    if (age < minAgeMs && age > -DAY_MS) return { outcome: 'growing' };
    const { kind, sha256 } = await inspect(file, nameOf(found.relative), signal);
    if (kind !== 'recording') return { outcome: kind };
    const result = await deliver(file, found.relative, sha256, signal);
    return result.outcome === 'verified' && !(await file.unchanged()) ? { outcome: 'changed' } : result;
  };

  /** Journal first, then the word: what is told as verified is on the disk. Told twice alike, it is one line. */
  const settle = async (entry: JournalEntry, known: JournalEntry | null, bytes: number): Promise<Taken> => {
    const same = known !== null && JSON.stringify(known) === JSON.stringify(entry);
    if (!same) await journal.append(entry);
    return { entry, bytes, before: false };
  };

  const open = async (path: Buffer): Promise<OpenFile | Fault> => {
    try {
      return (await openFile(path)) ?? { outcome: 'special' };
    } catch (error) {
      const code = codeOf(error);
      return code === 'ELOOP' ? { outcome: 'link' } : { outcome: 'unreadable', code };
    }
  };

  /** Never throws for what is wrong with the file; throws the signal's reason, and what the journal throws. */
  return async (found: Found, signal: AbortSignal): Promise<Taken> => {
    const file = journal.idOf(found.relative);
    const known = await journal.find(file);
    if (found.kind !== 'file') return settle({ file, outcome: found.kind }, known, 0);
    const opened = await open(found.path);
    if ('outcome' in opened) return settle({ file, ...opened }, known, 0);
    try {
      const { state, bytes } = opened;
      if (known?.outcome === 'verified' && isSameFile(known, state))
        return { entry: known, bytes, before: true };
      const result = await takeOpened(opened, found, signal).catch((error: unknown): Fault => {
        signal.throwIfAborted();
        if (error instanceof FileChanged) return { outcome: 'changed' };
        if (codeOf(error) === 'EUNKNOWN') throw error;
        return { outcome: 'unreadable', code: codeOf(error) };
      });
      return await settle({ file, ...result, ...stateOf(state) }, known, bytes);
    } finally {
      await opened.close();
    }
  };
};

export type TakeFile = ReturnType<typeof createTakeFile>;
