import { realpath } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { type AgentOptions, readAgentOptions } from '../../agent/agent-options.ts';
import { createDeliveryGate } from '../../agent/delivery-gate.ts';
import { createCallOf, pathText, plainName } from '../../agent/import/call-of.ts';
import type { Waiting } from '../../agent/import/deliver-file.ts';
import { takeInventory } from '../../agent/import/inventory.ts';
import { type Journal, openJournal } from '../../agent/import/journal.ts';
import { createNamePattern } from '../../agent/import/name-pattern.ts';
import { type Report, writeReport } from '../../agent/import/report.ts';
import { runImport } from '../../agent/import/run-import.ts';
import { createTakeFile } from '../../agent/import/take-file.ts';
import { createWipe } from '../../agent/import/wipe.ts';
import { openVault } from '../../agent/open-vault.ts';
import { pause } from '../../agent/pause.ts';
import { createVaultQuestions, type VaultQuestions } from '../../agent/vault-questions.ts';
import { AppError } from '../../core/errors.ts';
import { createLegacyNames, type ParseLegacyName } from '../../core/legacy-names.ts';
import { processEnvironment } from '../../environment.ts';
import { type GivenField, sidesOf } from '../agent-arguments.ts';
import { exitCodes } from '../exit-codes.ts';
import { createImportTalk, type ImportTalk } from '../import-talk.ts';
import { say } from '../print.ts';
import { asTold } from '../usage.ts';

export type ImportOptions = AgentOptions & {
  readonly dryRun?: boolean;
  readonly journal?: string;
  readonly report?: string;
  readonly timeZone: string;
  readonly pattern?: string;
  readonly field: readonly GivenField[];
  readonly sideField: readonly GivenField[];
  readonly parallel: number;
  /** In milliseconds. */
  readonly minAge: number;
  readonly patience: number;
  readonly showNames?: boolean;
  readonly wipe?: boolean;
  readonly yesWipe?: number;
};

const PAUSES = { firstMs: 500, ceilingMs: 60_000 };

const parserOf = ({ timeZone, pattern }: ImportOptions): ParseLegacyName =>
  createLegacyNames({
    timeZone,
    ...(pattern === undefined ? {} : { custom: createNamePattern(pattern) }),
  });

const dryRun = async (folder: string, options: ImportOptions, signal: AbortSignal): Promise<number> => {
  const talk = createImportTalk({ showNames: options.showNames === true });
  const parse = await asTold(() => parserOf(options));
  const inventory = await takeInventory(
    {
      folder,
      parallel: options.parallel,
      parse,
      sides: sidesOf(options),
      onException: (outcome, relative) => {
        // Without a journal there is no id: what is left, without names, is counted.
        if (options.showNames === true)
          talk.exception({ file: '-', outcome, name: plainName(pathText(relative)) });
      },
      onProgress: talk.counting,
    },
    signal,
  );
  talk.inventory(inventory);
  const { exceptions, flags } = inventory;
  return Object.keys({ ...exceptions, ...flags }).length === 0 ? exitCodes.clean : exitCodes.findings;
};

/** In the share they would be files of it, on a disk that others read. */
const outside = async (folder: string, file: string, option: string): Promise<string> => {
  const [root, place] = await Promise.all(
    [folder, dirname(resolve(file))].map((path) => realpath(path).catch(() => resolve(path))),
  );
  if (`${place}${sep}`.startsWith(`${root}${sep}`))
    throw new AppError('config_invalid', `${option} names a place outside the folder that is emptied.`);
  return resolve(file);
};

/** Ends an import whose vault has been away for too long; what gets through sets the clock back. */
const createPatience = (ms: number, talk: ImportTalk) => {
  let since: number | null = null;
  return {
    waiting(waiting: Waiting): void {
      talk.waiting(waiting);
      since ??= performance.now();
      if (performance.now() - since > ms)
        throw new AppError(
          'storage_unavailable',
          `The vault took nothing for too long (${waiting.code}). Nothing is lost: the same command goes on where this ended.`,
        );
    },
    through: (): void => {
      since = null;
    },
  };
};

type Running = {
  readonly folder: string;
  readonly options: ImportOptions;
  readonly journal: Journal;
  readonly questions: VaultQuestions;
  readonly talk: ImportTalk;
  readonly signal: AbortSignal;
};

/** Writes the report and has the vault put its digest into the log: no report counts, and nothing goes, without that. */
const report = async ({ journal, questions, talk, options, signal }: Running): Promise<Report> => {
  const path = resolve(options.report ?? `${options.journal}.report`);
  const written = await writeReport(journal, path, new Date());
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
        `The report is written, but the vault could not enter it (${told.code}): give the same command again.`,
      );
    await pause(Math.max((told.retryAfter ?? 0) * 1000, 250 * 2 ** tries), signal);
    signal.throwIfAborted();
  }
};

/** The number typed, and nothing else: a "y" is typed too easily. */
const isConfirmed = async (count: number, { yesWipe }: ImportOptions, talk: ImportTalk): Promise<boolean> => {
  if (yesWipe !== undefined) {
    if (yesWipe === count) return true;
    talk.line(`nothing is removed: --yes-wipe says ${yesWipe}, and ${count} files are verified.`);
    return false;
  }
  if (process.stdin.isTTY !== true) {
    talk.line(`nothing is removed: confirm with --yes-wipe ${count}.`);
    return false;
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const typed = await lines
    .question(`${count} files are stored and read back. To remove them here for good, type ${count}: `)
    .finally(() => lines.close());
  if (typed.trim() === String(count)) return true;
  talk.line('nothing is removed.');
  return false;
};

const wipe = async (running: Running, count: number): Promise<number> => {
  const { options, talk, signal } = running;
  if (!(await isConfirmed(count, options, talk))) return exitCodes.findings;
  const result = await createWipe({ ...running, parallel: options.parallel, onWiped: talk.wiped })(signal);
  talk.wipe(result);
  const { exceptions } = await report(running);
  return exceptions === 0 && Object.keys(result.kept).length === 0 ? exitCodes.clean : exitCodes.findings;
};

const readTold = async (folder: string, options: ImportOptions) => {
  if (options.journal === undefined)
    throw new AppError(
      'config_invalid',
      'Name a file with --journal: the import goes on from it when it was cut off.',
    );
  const settings = await readAgentOptions(options, processEnvironment());
  const parse = parserOf(options);
  const path = await outside(folder, options.journal, '--journal');
  if (options.report !== undefined) await outside(folder, options.report, '--report');
  return { settings, parse, path };
};

const importAll = async (folder: string, options: ImportOptions, signal: AbortSignal): Promise<number> => {
  const { settings, parse, path } = await asTold(() => readTold(folder, options));
  const journal = await openJournal(path, { folder, vault: new URL(settings.url).origin });
  const client = openVault(settings);
  try {
    const talk = createImportTalk({ showNames: options.showNames === true });
    const questions = createVaultQuestions(client);
    const patience = createPatience(options.patience, talk);
    const takeFile = createTakeFile({
      client,
      questions,
      gate: createDeliveryGate(PAUSES),
      journal,
      callOf: createCallOf({ parse, last: Object.fromEntries(options.field), now: Date.now }),
      sides: sidesOf(options),
      minAgeMs: options.minAge,
      now: Date.now,
      onWaiting: patience.waiting,
    });
    await runImport(
      {
        folder,
        parallel: options.parallel,
        takeFile,
        onException: talk.exception,
        onProgress: (progress) => {
          patience.through();
          talk.progress(progress);
        },
      },
      signal,
    );
    const running = { folder, options, journal, questions, talk, signal };
    const { exceptions, verified, wiped } = await report(running);
    if (options.wipe === true && verified > wiped) return await wipe(running, verified - wiped);
    return exceptions === 0 ? exitCodes.clean : exitCodes.findings;
  } finally {
    client.close();
    await journal.close();
  }
};

/** Takes inventory of an old share, or empties it into a vault. Needs no vault of its own. */
export const importFolder = async (folder: string, options: ImportOptions): Promise<number> => {
  const cut = new AbortController();
  const onSignal = (): void => cut.abort(new Error('cut'));
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal);
  try {
    return await (options.dryRun === true ? dryRun : importAll)(folder, options, cut.signal);
  } catch (error) {
    if (!cut.signal.aborted) throw error;
    say('callvault: ended by a signal. Nothing is lost: the same command goes on where this ended.');
    return exitCodes.couldNotRun;
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
  }
};
