import { type JournalEntry, openJournal } from '../agent/import/journal.ts';
import { forAll } from '../agent/import/run-import.ts';
import { shownName } from '../agent/import/shown-name.ts';
import { exitCodes } from './exit-codes.ts';
import { printData, say } from './print.ts';

const toldOf = ({ outcome, kept, reason, code }: JournalEntry): readonly string[] | null => {
  if (kept !== undefined) return ['verified', kept];
  return ['verified', 'wiped', 'side_file', 'settled'].includes(outcome)
    ? null
    : [outcome, reason ?? code ?? ''];
};

/**
 * Names what an import left where it was, as journal and report know it by ids: on a terminal alone, for names may hold numbers. Asks
 * no vault and changes nothing.
 */
export const listExceptions = async (
  folder: string,
  journalPath: string,
  signal: AbortSignal,
): Promise<number> => {
  if (process.stdout.isTTY !== true) {
    say('callvault: names may hold numbers, so they are shown on a terminal only.');
    return exitCodes.usage;
  }
  const journal = await openJournal(journalPath, { folder, vault: null });
  let count = 0;
  try {
    await forAll(
      folder,
      1,
      async ({ relative }) => {
        const entry = await journal.find(journal.idOf(relative));
        const told = entry === null ? null : toldOf(entry);
        if (entry === null || told === null) return;
        count += 1;
        printData([...told, entry.file, JSON.stringify(shownName(relative))].join('\t'));
      },
      signal,
    );
  } finally {
    await journal.close();
  }
  return count === 0 ? exitCodes.clean : exitCodes.findings;
};
