import { isAppError } from '../../core/errors.ts';
import type { CallFields } from '../call-fields.ts';
import { FileChanged, type OpenFile, openFile } from '../file-digest.ts';
import type { SideOptions } from '../side-fields.ts';
import { isSideFile, openSideFile, readSideFile, type SideFile } from '../side-files.ts';
import { nameOf } from './call-of.ts';
import {
  createDeliverFile,
  type DeliverFileDeps,
  type Fault,
  type Told,
  type Verified,
} from './deliver-file.ts';
import { inspect } from './inspect.ts';
import { isSameFile, type Journal, type JournalEntry, stateOf } from './journal.ts';
import type { Found } from './walk.ts';

export type TakeFileDeps = DeliverFileDeps & {
  readonly journal: Pick<Journal, 'idOf' | 'find' | 'append'>;
  /** Younger files may still be written. */
  readonly minAgeMs: number;
  readonly sides: SideOptions;
  readonly now: () => number;
};

/** What became of one thing in the share, in this run. */
export type Taken = {
  readonly entry: JournalEntry;
  readonly bytes: number;
  /** True: an earlier run had settled it, and nothing was read. */
  readonly before: boolean;
  /** For whoever watches: what is wrong with it, without a value. */
  readonly reason?: string;
};

type FoundFile = Found & { readonly kind: 'file' };

const DAY_MS = 86_400_000;

const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^E[A-Z0-9_]{1,30}$/.test(code) ? code : 'EUNKNOWN';
};

const open = async (path: Buffer): Promise<OpenFile | Fault> => {
  try {
    return (await openFile(path)) ?? { outcome: 'special' };
  } catch (error) {
    const code = codeOf(error);
    return code === 'ELOOP' ? { outcome: 'link' } : { outcome: 'unreadable', code };
  }
};

export const createTakeFile = (deps: TakeFileDeps) => {
  const { journal, minAgeMs, sides, now } = deps;
  const deliver = createDeliverFile(deps);

  const isGrowing = ({ state }: OpenFile): boolean => {
    const age = now() - Number(state.mtimeNs / 1_000_000n);
    // A time far ahead is a wrong clock's, and says nothing.
    return age < minAgeMs && age > -DAY_MS;
  };

  const takeRecording = async (
    file: OpenFile,
    side: SideFile | null,
    told: Told,
    signal: AbortSignal,
  ): Promise<Verified | Fault> => {
    const result = await deliver(file, told, signal);
    if (result.outcome !== 'verified') return result;
    const isStill = (await file.unchanged()) && (side === null || (await side.file.unchanged()));
    if (!isStill) return { outcome: 'changed' };
    return side === null ? result : { ...result, side: { kind: side.kind, ...stateOf(side.file.state) } };
  };

  const takeOpened = async (
    file: OpenFile,
    found: FoundFile,
    signal: AbortSignal,
  ): Promise<Verified | Fault> => {
    if (isGrowing(file)) return { outcome: 'growing' };
    const { kind, sha256 } = await inspect(file, nameOf(found.relative), signal);
    if (kind !== 'recording') return { outcome: kind };
    let side: SideFile | null = null;
    try {
      side = await openSideFile(found.path);
      if (side !== null && isGrowing(side.file)) return { outcome: 'growing' };
      const fields: CallFields | null = side === null ? null : await readSideFile(side, sides);
      return await takeRecording(file, side, { relative: found.relative, sha256, side: fields }, signal);
    } catch (error) {
      if (!isAppError(error, 'not_acceptable_metadata')) throw error;
      return { outcome: 'bad_side_file', reason: error.message };
    } finally {
      await side?.file.close();
    }
  };

  /** Journal first, then the word: what is told as verified is on the disk. Told twice alike, it is one line. */
  const settle = async (entry: JournalEntry, known: JournalEntry | null, bytes: number): Promise<Taken> => {
    const same = known !== null && JSON.stringify(known) === JSON.stringify(entry);
    if (!same) await journal.append(entry);
    return { entry, bytes, before: false };
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
      if (await isSideFile(found.path))
        return await settle({ file, outcome: 'side_file', ...stateOf(state) }, known, bytes);
      const { reason, ...result } = await takeOpened(opened, found, signal).catch(
        (error: unknown): Verified | Fault => {
          signal.throwIfAborted();
          if (error instanceof FileChanged) return { outcome: 'changed' };
          if (codeOf(error) === 'EUNKNOWN') throw error;
          return { outcome: 'unreadable', code: codeOf(error) };
        },
      );
      const taken = await settle({ file, ...result, ...stateOf(state) }, known, bytes);
      return reason === undefined ? taken : { ...taken, reason };
    } finally {
      await opened.close();
    }
  };
};

export type TakeFile = ReturnType<typeof createTakeFile>;
