import { lstat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { MIN_AGE, type MinAge } from '../agent/import/is-young.ts';
import type { Journal } from '../agent/import/journal.ts';
import { type Report, settleUnmet, writeReport } from '../agent/import/report.ts';
import { createWipe } from '../agent/import/wipe.ts';
import { createWriters } from '../agent/import/writers.ts';
import { pause } from '../agent/pause.ts';
import type { VaultQuestions } from '../agent/vault-questions.ts';
import { AppError } from '../core/errors.ts';
import { exitCodes } from './exit-codes.ts';
import type { ImportTalk } from './import-talk.ts';

export type EndOptions = {
  readonly journal?: string;
  readonly report?: string;
  readonly parallel: number;
  /** In milliseconds; absent: {@link MIN_AGE}. */
  readonly minAge?: number;
  readonly acceptMissing?: boolean;
  readonly yesMissing?: number;
  readonly wipe?: boolean;
  readonly yesWipe?: number;
};

/** An import that has gone through the whole share. */
export type Ending = {
  readonly folder: string;
  readonly options: EndOptions;
  readonly journal: Journal;
  readonly questions: VaultQuestions;
  readonly talk: ImportTalk;
  readonly signal: AbortSignal;
};

/** What was said counts, whoever may be unseen. */
export const minAgeOf = ({ minAge }: EndOptions): MinAge =>
  minAge === undefined ? MIN_AGE : { seenMs: minAge, unseenMs: minAge };

type Stage = 'import' | 'wipe';

/** Where reports may go. What was entered in the log must not be written over by what comes after it, so each has a name of its own. */
function* reportNames({ journal, report }: EndOptions, stage: Stage): Generator<string> {
  if (report !== undefined) {
    yield resolve(stage === 'wipe' ? `${report}.wiped` : report);
    return;
  }
  const base = `${resolve(journal ?? '')}.${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}`;
  yield `${base}.report`;
  for (let n = 2; n < 1_000; n += 1) yield `${base}-${n}.report`;
}

/** Throws `config_invalid` when the place that was named for a report is taken: said before the work, not after it. */
export const assertReportFree = async (options: EndOptions): Promise<void> => {
  if (options.report === undefined) return;
  for (const stage of options.wipe === true ? (['import', 'wipe'] as const) : (['import'] as const))
    for (const path of reportNames(options, stage))
      if ((await lstat(path).catch(() => null)) !== null)
        throw new AppError(
          'config_invalid',
          `A file lies already where ${stage === 'wipe' ? 'the report of the removal' : 'the report'} is to go, and is not overwritten: name another place with --report, or none.`,
        );
};

/** Writes the report and has the vault put its digest into the log: no report counts, and nothing goes, without that. */
const report = async (ending: Ending, stage: Stage): Promise<Report> => {
  const { journal, questions, talk, options, signal } = ending;
  const written = await writeReport(journal, reportNames(options, stage), new Date());
  const { sha256, files, verified, wiped, exceptions } = written;
  for (let tries = 1; ; tries += 1) {
    const told = await questions.report({ sha256, files, verified, wiped, exceptions }, signal);
    if (told.outcome === 'answered') {
      talk.report(written, told.answer);
      return written;
    }
    if (told.outcome === 'denied' || tries === 8)
      throw new AppError(
        'log_unavailable',
        `The report is written, but the vault could not enter it (${told.code}): give the same command again${options.report === undefined ? '' : ', with another --report'}.`,
      );
    await pause(Math.max((told.retryAfter ?? 0) * 1000, 250 * 2 ** tries), signal);
    signal.throwIfAborted();
  }
};

/** The number typed, and nothing else: a "y" is typed too easily. */
const isConfirmed = async (
  { removable, verified, wiped }: Report,
  { yesWipe }: EndOptions,
  talk: ImportTalk,
): Promise<boolean> => {
  const here = `${removable} verified files lie here (${verified} are verified, ${wiped} of them removed already)`;
  if (yesWipe !== undefined) {
    if (yesWipe === removable) return true;
    talk.line(
      `nothing is removed: --yes-wipe says ${yesWipe}, and ${here}: confirm with --yes-wipe ${removable}.`,
    );
    return false;
  }
  if (process.stdin.isTTY !== true) {
    talk.line(`nothing is removed: ${here}: confirm with --yes-wipe ${removable}.`);
    return false;
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const typed = await lines
    .question(
      `${removable} files are stored and read back. To remove them here for good, type ${removable}: `,
    )
    .finally(() => lines.close());
  if (typed.trim() === String(removable)) return true;
  talk.line('nothing is removed.');
  return false;
};

const codeOf = ({ exceptions, isElsewhere }: Report): number =>
  exceptions === 0 && !isElsewhere ? exitCodes.clean : exitCodes.findings;

const wipe = async (ending: Ending, imported: Report): Promise<number> => {
  const { options, talk, signal } = ending;
  if (!(await isConfirmed(imported, options, talk))) return exitCodes.findings;
  const removing = createWipe({
    ...ending,
    parallel: options.parallel,
    writersOf: createWriters({ maxAgeMs: 0 }),
    minAge: minAgeOf(options),
    now: Date.now,
    onWiped: talk.wiped,
  });
  const result = await removing(signal);
  talk.wipe(result);
  const code = codeOf(await report(ending, 'wipe'));
  return Object.keys(result.kept).length === 0 ? code : exitCodes.findings;
};

const acceptMissing = async ({ journal, options, talk }: Ending): Promise<void> => {
  const unconfirmed = await settleUnmet(journal, options.yesMissing);
  if (unconfirmed === null) return;
  const said = options.yesMissing === undefined ? '' : ` --yes-missing says ${options.yesMissing}, and`;
  talk.line(
    `nothing is accepted:${said} ${unconfirmed} files that stayed lie there no more, and neither does anything else that the journal knows. Is the share mounted? If it is, and has been emptied, confirm with --yes-missing ${unconfirmed}.`,
  );
};

/** Report, and where that was asked for and confirmed, removal and another report; the exit code. */
export const endImport = async (ending: Ending): Promise<number> => {
  const { options, talk } = ending;
  if (options.acceptMissing === true) await acceptMissing(ending);
  const imported = await report(ending, 'import');
  if (imported.isElsewhere)
    talk.line('nothing that the journal knows lies in the folder any more: is the share mounted?');
  const asked = options.wipe === true && (imported.removable > 0 || (options.yesWipe ?? 0) > 0);
  return asked ? wipe(ending, imported) : codeOf(imported);
};
