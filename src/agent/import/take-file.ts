import { isAppError } from '../../core/errors.ts';
import { mayHoldNumber } from '../../core/number-like.ts';
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
import { isYoung, type MinAge } from './is-young.ts';
import { isSameFile, type Journal, type JournalEntry, stateOf } from './journal.ts';
import type { Found } from './walk.ts';
import type { AskWriters } from './writers.ts';

export type TakeFileDeps = DeliverFileDeps & {
  readonly journal: Pick<Journal, 'idOf' | 'find' | 'append'>;
  /** Younger files may still be written; so may those that somebody holds open. */
  readonly minAge: MinAge;
  readonly writersOf: AskWriters;
  readonly sides: SideOptions;
  readonly now: () => number;
};

/** What became of one thing in the share, in this run. */
export type Taken = {
  readonly entry: JournalEntry;
  readonly bytes: number;
  /** True: an earlier run had settled it, and nothing was read. */
  readonly before: boolean;
};

type FoundFile = Found & { readonly kind: 'file' };

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

type Taking = {
  readonly signal: AbortSignal;
  /** Writes down that bytes of this digest are about to be sent. */
  readonly begin: (sha256: string) => Promise<void>;
};

/** Reads one file, and hands it over when it is a finished recording. */
const createTakeOpened = (deps: Omit<TakeFileDeps, 'journal'>) => {
  const { minAge, writersOf, sides, now } = deps;
  const deliver = createDeliverFile(deps);

  const growing = async (path: Buffer, { state }: OpenFile): Promise<Fault | null> => {
    if (isYoung(state, minAge.seenMs, now())) return { outcome: 'growing' };
    const writers = await writersOf([path]);
    if (writers === 'held_open') return { outcome: 'growing', code: writers };
    return writers === 'unseen' && isYoung(state, minAge.unseenMs, now())
      ? { outcome: 'growing', code: 'writer_unseen' }
      : null;
  };

  const takeRecording = async (
    file: OpenFile,
    side: SideFile | null,
    told: Told,
    { signal, begin }: Taking,
  ): Promise<Verified | Fault> => {
    // Beside the delivery, so that no file waits for the disk; side files are not removed on a guess.
    const begun = side === null ? begin(told.sha256) : null;
    const [delivered, written] = await Promise.allSettled([deliver(file, told, signal), begun]);
    if (delivered.status === 'rejected') throw delivered.reason;
    if (written.status === 'rejected') throw written.reason;
    const result = delivered.value;
    if (result.outcome !== 'verified') return result;
    const isStill = (await file.unchanged()) && (side === null || (await side.file.unchanged()));
    if (!isStill) return { outcome: 'changed' };
    return side === null ? result : { ...result, side: { kind: side.kind, ...stateOf(side.file.state) } };
  };

  return async (file: OpenFile, found: FoundFile, taking: Taking): Promise<Verified | Fault> => {
    const unfinished = await growing(found.path, file);
    if (unfinished !== null) return unfinished;
    const { kind, sha256 } = await inspect(file, nameOf(found.relative), taking.signal);
    if (kind !== 'recording') return { outcome: kind };
    let side: SideFile | null = null;
    try {
      side = await openSideFile(found.path);
      const late = side === null ? null : await growing(side.path, side.file);
      if (late !== null) return late;
      const fields: CallFields | null = side === null ? null : await readSideFile(side, sides);
      return await takeRecording(file, side, { relative: found.relative, sha256, side: fields }, taking);
    } catch (error) {
      if (!isAppError(error, 'not_acceptable_metadata')) throw error;
      return { outcome: 'bad_side_file', reason: error.message };
    } finally {
      await side?.file.close();
    }
  };
};

const MAX_REASON_CHARS = 500;

/** A reason as it may stand in journal and report. Words of the vault, and names of columns, are other people's. */
const sayable = (reason: string | undefined): Pick<JournalEntry, 'reason'> =>
  reason === undefined || mayHoldNumber(reason)
    ? {}
    : {
        reason: reason
          .replace(/\p{C}+/gu, ' ')
          .slice(0, MAX_REASON_CHARS)
          .toWellFormed(),
      };

/**
 * Taken once more, for its time changed, it is the file that the vault made the recording of, with the same side file; or one
 * whose first delivery was cut off.
 */
const withCreated = (entry: JournalEntry, known: JournalEntry | null): JournalEntry => {
  if (entry.created !== false || known === null) return entry;
  const isSame =
    known.recording === entry.recording && JSON.stringify(known.side) === JSON.stringify(entry.side);
  if (isSame && known.created === true) return { ...entry, created: true };
  const isResent =
    (isSame && known.resent === true) || (known.outcome === 'cut_off' && known.sha256 === entry.sha256);
  return isResent && entry.side === undefined ? { ...entry, resent: true } : entry;
};

/** Whether what lies beside it is what lay there when it was verified. */
const hasSameSide = async (path: Buffer, { side: known }: JournalEntry): Promise<boolean> => {
  const side = await openSideFile(path).catch(() => 'unusable' as const);
  if (side === 'unusable') return false;
  await side?.file.close();
  if (side === null || known === undefined) return side === null && known === undefined;
  return known.kind === side.kind && isSameFile(known, side.file.state);
};

export const createTakeFile = (deps: TakeFileDeps) => {
  const { journal } = deps;
  const takeOpened = createTakeOpened(deps);

  /** Journal first, then the word: what is told as verified is on the disk. Told twice alike, it is one line. */
  const settle = async (entry: JournalEntry, known: JournalEntry | null, bytes: number): Promise<Taken> => {
    const same = known !== null && JSON.stringify(known) === JSON.stringify(entry);
    if (!same) await journal.append(entry);
    return { entry, bytes, before: false };
  };

  /** Nothing of it is read. What was gone is there once more. */
  const again = async (known: JournalEntry, bytes: number): Promise<Taken> => {
    const { kept, ...rest } = known;
    const entry = kept === 'gone' ? rest : known;
    if (entry !== known) await journal.append(entry);
    return { entry: { ...entry, outcome: 'verified' }, bytes, before: true };
  };

  /**
   * Verified by an earlier run, and nothing to be said anew of it: also one whose name was not told, which is for {@link createUntold}
   * to say again. A side file that came meanwhile may make another recording of what was one with another file's.
   */
  const isDone = async (known: JournalEntry, { state }: OpenFile, path: Buffer): Promise<boolean> =>
    (known.outcome === 'verified' || known.outcome === 'name_not_told') &&
    isSameFile(known, state) &&
    (known.created !== false || (await hasSameSide(path, known)));

  /** Never throws for what is wrong with the file; throws the signal's reason, and what the journal throws. */
  return async (found: Found, signal: AbortSignal): Promise<Taken> => {
    const file = journal.idOf(found.relative);
    const known = await journal.find(file);
    if (found.kind !== 'file') return settle({ file, outcome: found.kind }, known, 0);
    const opened = await open(found.path);
    if ('outcome' in opened) return settle({ file, ...opened }, known, 0);
    try {
      const { state, bytes } = opened;
      if (known !== null && (await isDone(known, opened, found.path))) return again(known, bytes);
      if (await isSideFile(found.path))
        return await settle({ file, outcome: 'side_file', ...stateOf(state) }, known, bytes);
      const { reason, ...result } = await takeOpened(opened, found, {
        signal,
        begin: (sha256) => journal.append({ file, outcome: 'cut_off', sha256, ...stateOf(state) }),
      }).catch((error: unknown): Verified | Fault => {
        signal.throwIfAborted();
        if (error instanceof FileChanged) return { outcome: 'changed' };
        if (codeOf(error) === 'EUNKNOWN') throw error;
        return { outcome: 'unreadable', code: codeOf(error) };
      });
      const entry = withCreated({ file, ...result, ...sayable(reason), ...stateOf(state) }, known);
      return await settle(entry, known, bytes);
    } finally {
      await opened.close();
    }
  };
};

export type TakeFile = ReturnType<typeof createTakeFile>;
