import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Journal, JournalEntry, KeptReason, Outcome } from './journal.ts';
import { writeNewFile } from './report-file.ts';

/** Totals of a report: its last line. */
export type Totals = {
  /** The sum of `verified`, `exceptions` and `sideFiles`. */
  readonly files: number;
  /** Those that were wiped since among them. */
  readonly verified: number;
  readonly wiped: number;
  readonly exceptions: number;
  /** That went along with recordings, and are counted among the files alone. */
  readonly sideFiles: number;
  /** Of the verified and wiped. */
  readonly bytes: number;
  /** Of the exceptions. `not_met`: it stayed in an earlier run, and was not found in this one. */
  readonly reasons: Readonly<Partial<Record<Outcome | 'not_met', number>>>;
  /** Of the verified, those that were to be removed and were not, and those that lie there no more. */
  readonly kept: Readonly<Partial<Record<KeptReason, number>>>;
};

export type Report = Totals & {
  readonly sha256: string;
  readonly path: string;
  /** Verified, and met in this run: what could be removed. */
  readonly removable: number;
  /** Of what the journal knew, nothing at all was met: the share may not be mounted. */
  readonly isElsewhere: boolean;
};

const BATCH_BYTES = 256 * 1024;

type Line = Omit<Partial<JournalEntry>, 'outcome'> & {
  readonly file: string;
  readonly outcome: Outcome | 'not_met';
  /** Of what was not met: why it stayed when it was. */
  readonly was?: Outcome;
};

/** What is told of a file: no name, and nothing by which it could be told from others but the id and the digest. */
const textOf = ({
  file,
  outcome,
  was,
  code,
  reason,
  kept,
  bytes,
  sha256,
  recording,
  created,
}: Line): string =>
  `${JSON.stringify({ file, outcome, was, code, reason, kept, bytes, sha256, recording, created })}\n`;

/** What a report says of a file; null: nothing. */
const lineOf = (entry: JournalEntry, met: boolean): Line | null => {
  const { outcome } = entry;
  if (outcome === 'settled') return null;
  if (outcome === 'wiped') return entry;
  if (outcome === 'verified') return met ? entry : { ...entry, kept: 'gone' };
  if (met) return entry;
  // It went with its recording, or whoever removed it has seen what lay beside it.
  return outcome === 'side_file' ? null : { file: entry.file, outcome: 'not_met', was: outcome };
};

/** Of what may still lie there. */
const isUnmet = (outcome: Outcome): boolean => outcome !== 'wiped' && outcome !== 'settled';

const createCount = () => {
  const reasons: Partial<Record<Outcome | 'not_met', number>> = {};
  const kept: Partial<Record<KeptReason, number>> = {};
  let [files, verified, wiped, sideFiles, exceptions, bytes, removable] = [0, 0, 0, 0, 0, 0, 0];
  return {
    add(line: Line): void {
      files += 1;
      if (line.outcome === 'side_file') sideFiles += 1;
      else if (line.outcome === 'verified' || line.outcome === 'wiped') {
        verified += 1;
        bytes += line.bytes ?? 0;
        if (line.outcome === 'wiped') wiped += 1;
        else if (line.kept !== 'gone') removable += 1;
        if (line.kept !== undefined) kept[line.kept] = (kept[line.kept] ?? 0) + 1;
      } else {
        exceptions += 1;
        reasons[line.outcome] = (reasons[line.outcome] ?? 0) + 1;
      }
    },
    totals: (): Totals => ({ files, verified, wiped, exceptions, sideFiles, bytes, reasons, kept }),
    removable: (): number => removable,
  };
};

/**
 * Writes the report under the first of the names that is free: a line for every file, then the totals. `sha256` is of the whole
 * file as it lies there. An exception of an earlier run that this one did not meet stays one, as `not_met`: that it is not there
 * may mean that the share is not.
 */
export const writeReport = async (
  journal: Pick<Journal, 'entries' | 'metBefore'>,
  names: Iterable<string>,
  at: Date,
): Promise<Report> => {
  const hash = createHash('sha256');
  const count = createCount();
  let unmet = 0;
  const write = async (file: FileHandle): Promise<void> => {
    let batch = '';
    const flush = async (): Promise<void> => {
      hash.update(batch);
      await file.appendFile(batch);
      batch = '';
    };
    batch += `${JSON.stringify({ report: 'callvault import', version: 1, at: at.toISOString() })}\n`;
    for await (const { entry, met } of journal.entries()) {
      if (!met && isUnmet(entry.outcome)) unmet += 1;
      const line = lineOf(entry, met);
      if (line === null) continue;
      count.add(line);
      batch += textOf(line);
      if (batch.length >= BATCH_BYTES) await flush();
    }
    batch += `${JSON.stringify(count.totals())}\n`;
    await flush();
  };
  const path = await writeNewFile(names, write);
  const isElsewhere = unmet > 0 && journal.metBefore() === 0;
  const removable = count.removable();
  return { ...count.totals(), sha256: hash.digest('hex'), path, removable, isElsewhere };
};

/**
 * Somebody has said that what stayed and lies there no more is as it should be: it is no exception from now on. Answers null;
 * or, where nothing at all of what the journal knows was met, for the share may not be mounted, how many it would be, and
 * settles nothing unless that very number is `confirmed`.
 */
export const settleUnmet = async (
  journal: Pick<Journal, 'entries' | 'append' | 'metBefore'>,
  confirmed?: number,
): Promise<number | null> => {
  const settled: JournalEntry[] = [];
  for await (const { entry, met } of journal.entries())
    if (!met && !['verified', 'wiped', 'side_file', 'settled'].includes(entry.outcome))
      settled.push({ file: entry.file, outcome: 'settled' });
  if (settled.length > 0 && journal.metBefore() === 0 && confirmed !== settled.length) return settled.length;
  await Promise.all(settled.map(journal.append));
  return null;
};
