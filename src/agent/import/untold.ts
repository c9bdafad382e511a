import { isAppError } from '../../core/errors.ts';
import type { ParseLegacyName } from '../../core/legacy-names.ts';
import type { SideOptions } from '../side-fields.ts';
import { openSideFile, readSideFile } from '../side-files.ts';
import { pathText } from './call-of.ts';
import { type CallTold, callTold, createKeptCalls, type Difference, tellsNothing } from './copies.ts';
import { isSameFile, type Journal, type JournalEntry } from './journal.ts';
import { createPackedList } from './packed-list.ts';
import type { Exception } from './run-import.ts';
import { shownName } from './shown-name.ts';
import type { Found } from './walk.ts';

export type UntoldDeps = {
  /** One of its own: a pattern is stopped after so many names that take it long. */
  readonly parse: ParseLegacyName;
  readonly sides: SideOptions;
  readonly journal: Pick<Journal, 'find' | 'append'>;
  readonly onException: (exception: Exception) => void;
};

/** `path` is in Latin-1, which keeps every byte. The journal has what else is known of the file. */
type Pending = Pick<JournalEntry, 'file' | 'resent'> & {
  readonly recording: string;
  readonly path: string;
  readonly told: CallTold;
};
/**
 * What is untold. `unknown`: the vault had the bytes before, and nobody here knows what it was told of them. `either`: it was told one of
 * several calls, and nobody knows which.
 */
type Judged = readonly Difference[] | 'unknown' | 'either';

const WORDS: Readonly<Record<Difference, string>> = {
  time: 'time',
  callId: 'call id',
  caller: 'caller',
  called: 'called number',
  personal: 'identity number',
};

const reasonOf = (judged: readonly Difference[] | 'either'): string =>
  judged === 'either'
    ? 'files of the same bytes tell of different calls, and which of them the vault was told is not known'
    : `its name tells another ${judged.map((one) => WORDS[one]).join(', ')} than the vault was told of the same bytes, or one where it was told none`;

const entryOf = ({ kept, reason: _former, ...entry }: JournalEntry, judged: Judged): JournalEntry => {
  if (judged === 'unknown') return { ...entry, kept: 'name_not_told' };
  if (judged.length > 0) return { ...entry, outcome: 'name_not_told', reason: reasonOf(judged) };
  return kept === undefined || kept === 'name_not_told' ? entry : { ...entry, kept };
};

type FoundFile = Found & { readonly kind: 'file' };

/**
 * Finds the files whose bytes the vault has as those of another call, or of one of which it knows less, than their names tell: were
 * they removed, that would be nowhere. Judged at the end, when all that can be known is: `created` may come after its copies.
 */
export const createUntold = ({ parse, sides, journal, onException }: UntoldDeps) => {
  const calls = createKeptCalls();
  // Who lost a journal goes through a whole share that the vault has already.
  const pending = createPackedList<Pending>();

  /** What the vault was told of the file that it made the recording of; null: that cannot be read any more. */
  const toldOf = async ({ relative, path }: FoundFile, entry: JournalEntry): Promise<CallTold | null> => {
    const name = parse(pathText(relative));
    if (entry.side === undefined) return callTold(name, null, Date.now());
    let side: Awaited<ReturnType<typeof openSideFile>> = null;
    try {
      side = await openSideFile(path);
      if (side === null || !isSameFile(entry.side, side.file.state)) return null;
      return callTold(name, await readSideFile(side, sides), Date.now());
    } catch (error) {
      if (isAppError(error) || (error as NodeJS.ErrnoException).code !== undefined) return null;
      throw error;
    } finally {
      await side?.file.close();
    }
  };

  /** Those whose first delivery was cut off, and of which the vault says nothing else, were told, unless they contradict each other. */
  const settleResent = (): ReadonlySet<string> => {
    const clashing = new Set<string>();
    const unknown: Pending[] = [];
    for (const item of pending.items())
      if (item.resent === true && calls.untold(item.recording, item.told) === null) unknown.push(item);
    for (const { recording, told } of unknown) {
      const differs = calls.untold(recording, told);
      if (differs === null) calls.keep(recording, told);
      else if (differs.length > 0) clashing.add(recording);
    }
    return clashing;
  };

  return {
    /** Every file that is verified, as far as this run has met it. */
    async note(found: Found, entry: JournalEntry): Promise<void> {
      const { file, outcome, recording, resent } = entry;
      if (found.kind !== 'file' || outcome !== 'verified' || recording === undefined) return;
      // With a side file nothing is removed unless it was told (createWipeFile).
      if (entry.created !== true && entry.side !== undefined) return;
      const told = await toldOf(found, entry);
      if (told === null) return;
      if (entry.created === true) calls.keep(recording, told);
      else if (!tellsNothing(told))
        pending.add({
          file,
          recording,
          path: found.relative.toString('latin1'),
          told,
          ...(resent === undefined ? {} : { resent }),
        });
    },

    /** Writes down what was found, and says it; how many of the verified are exceptions. */
    async settle(): Promise<number> {
      const clashing = settleResent();
      let exceptions = 0;
      for (const { file, recording, path, told } of pending.items()) {
        const judged = clashing.has(recording) ? 'either' : (calls.untold(recording, told) ?? 'unknown');
        const known = await journal.find(file, 'look');
        if (known === null) continue;
        // What contradicted it may be removed by now: that settles nothing.
        const isAsBefore = judged === 'unknown' && known.outcome === 'name_not_told';
        const next = isAsBefore ? known : entryOf({ ...known, outcome: 'verified' }, judged);
        if (JSON.stringify(known) !== JSON.stringify(next)) await journal.append(next);
        if (next.outcome !== 'name_not_told') continue;
        exceptions += 1;
        const { outcome, reason = '' } = next;
        onException({ file, outcome, reason, name: shownName(Buffer.from(path, 'latin1')) });
      }
      return exceptions;
    },
  };
};

export type Untold = ReturnType<typeof createUntold>;
