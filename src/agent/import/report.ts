import { createHash } from 'node:crypto';
import { open, rename } from 'node:fs/promises';
import type { Journal, JournalEntry, Outcome } from './journal.ts';

/** Totals of a report: its last line. */
export type Totals = {
  readonly files: number;
  readonly verified: number;
  readonly wiped: number;
  readonly exceptions: number;
  /** That went along with recordings, and are counted among the files alone. */
  readonly sideFiles: number;
  /** Of the verified and wiped. */
  readonly bytes: number;
  /** Of the exceptions. */
  readonly reasons: Readonly<Partial<Record<Outcome, number>>>;
};

export type Report = Totals & { readonly sha256: string; readonly path: string };

const BATCH_BYTES = 256 * 1024;

/** What is told of a file: no name, and nothing by which it could be told from others but the id and the digest. */
const lineOf = ({ file, outcome, code, bytes, sha256, recording, created }: JournalEntry): string =>
  `${JSON.stringify({ file, outcome, code, bytes, sha256, recording, created })}\n`;

/**
 * Writes the report: a line for every file, then the totals. `sha256` is of the whole file as it lies there, which appears under
 * its name at once. An exception of an earlier run that this one did not meet lies in the share no more, and is left out.
 */
export const writeReport = async (
  journal: Pick<Journal, 'entries'>,
  path: string,
  at: Date,
): Promise<Report> => {
  const hash = createHash('sha256');
  const reasons: Partial<Record<Outcome, number>> = {};
  let [files, verified, wiped, sideFiles, exceptions, bytes] = [0, 0, 0, 0, 0, 0];
  const temporary = `${path}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    let batch = '';
    const write = async (text: string, last = false): Promise<void> => {
      batch += text;
      if (batch.length < BATCH_BYTES && !last) return;
      hash.update(batch);
      await handle.appendFile(batch);
      batch = '';
    };
    await write(`${JSON.stringify({ report: 'callvault import', version: 1, at: at.toISOString() })}\n`);
    for await (const { entry, met } of journal.entries()) {
      const kept = entry.outcome === 'verified' || entry.outcome === 'wiped';
      if (!kept && !met) continue;
      files += 1;
      if (entry.outcome === 'verified') verified += 1;
      else if (entry.outcome === 'wiped') wiped += 1;
      else if (entry.outcome === 'side_file') sideFiles += 1;
      else {
        exceptions += 1;
        reasons[entry.outcome] = (reasons[entry.outcome] ?? 0) + 1;
      }
      if (kept) bytes += entry.bytes ?? 0;
      await write(lineOf(entry));
    }
    const totals: Totals = {
      files,
      verified: verified + wiped,
      wiped,
      exceptions,
      sideFiles,
      bytes,
      reasons,
    };
    await write(`${JSON.stringify(totals)}\n`, true);
    await handle.sync();
    await rename(temporary, path);
    return { ...totals, sha256: hash.digest('hex'), path };
  } finally {
    await handle.close();
  }
};
