import { realpath } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { type AgentOptions, readAgentOptions } from '../../agent/agent-options.ts';
import { UNTRUSTED_CODE } from '../../agent/delivery.ts';
import { createDeliveryGate } from '../../agent/delivery-gate.ts';
import { createCallOf } from '../../agent/import/call-of.ts';
import { createCheckUnits, type NamedUnits, unitsInPaths } from '../../agent/import/care-units.ts';
import type { Waiting } from '../../agent/import/deliver-file.ts';
import { takeInventory } from '../../agent/import/inventory.ts';
import { type Journal, openJournal } from '../../agent/import/journal.ts';
import { createNamePattern } from '../../agent/import/name-pattern.ts';
import { runImport } from '../../agent/import/run-import.ts';
import { shownName } from '../../agent/import/shown-name.ts';
import { createTakeFile } from '../../agent/import/take-file.ts';
import { createUntold } from '../../agent/import/untold.ts';
import { createWriters } from '../../agent/import/writers.ts';
import { openVault } from '../../agent/open-vault.ts';
import type { VaultClient } from '../../agent/vault-client.ts';
import { createVaultQuestions } from '../../agent/vault-questions.ts';
import { AppError } from '../../core/errors.ts';
import { createLegacyNames, type ParseLegacyName } from '../../core/legacy-names.ts';
import { processEnvironment } from '../../environment.ts';
import { type GivenField, sidesOf } from '../agent-arguments.ts';
import { exitCodes } from '../exit-codes.ts';
import { assertReportFree, type EndOptions, endImport, minAgeOf } from '../import-end.ts';
import { listExceptions } from '../import-list.ts';
import { createImportTalk, type ImportTalk, whyOf } from '../import-talk.ts';
import { say } from '../print.ts';
import { asTold } from '../usage.ts';

export type ImportOptions = AgentOptions &
  EndOptions & {
    readonly dryRun?: boolean;
    readonly listExceptions?: boolean;
    readonly timeZone: string;
    readonly pattern?: string;
    readonly field: readonly GivenField[];
    readonly sideField: readonly GivenField[];
    /** In milliseconds. */
    readonly patience: number;
    readonly showNames?: boolean;
  };

/** Of an import, which removes nothing: whoever pauses in a recording pauses for longer. */
const LOOK_MS = 2_000;
const PAUSES = { firstMs: 500, ceilingMs: 60_000 };

/** That are named: enough to see what they are. */
const MAX_OTHER_CALLS = 20;
const OTHER_CALLS =
  'some recordings lie there twice under names that tell of different calls: an import makes one recording of them, with the facts of the file that it takes first, and leaves the others in the folder. Find out which name is right and take the others out of the folder before (docs/import.md; --show-names names some).';

const parserOf = ({ timeZone, pattern }: ImportOptions): ParseLegacyName =>
  createLegacyNames({
    timeZone,
    ...(pattern === undefined ? {} : { custom: createNamePattern(pattern) }),
  });

const dryRun = async (folder: string, options: ImportOptions, signal: AbortSignal): Promise<number> => {
  const talk = createImportTalk({ showNames: options.showNames === true });
  const parse = await asTold(() => parserOf(options));
  let named = 0;
  const inventory = await takeInventory(
    {
      folder,
      parallel: options.parallel,
      parse,
      sides: sidesOf(options),
      onException: (outcome, relative, reason) => {
        // Without a journal there is no id: what is left, without names, is counted.
        if (options.showNames === true)
          talk.exception({
            ...{ file: '-', outcome, name: shownName(relative) },
            ...(reason === undefined ? {} : { reason }),
          });
      },
      onOtherCall: (other, relative) => {
        named += 1;
        if (options.showNames === true && named <= MAX_OTHER_CALLS)
          talk.otherCall(other, shownName(relative));
      },
      onProgress: talk.counting,
    },
    signal,
  );
  talk.inventory(inventory);
  const { exceptions, flags, otherCalls, timesUnknown } = inventory;
  if (otherCalls > 0) talk.line(OTHER_CALLS);
  const isClean = Object.keys({ ...exceptions, ...flags }).length === 0 && otherCalls + timesUnknown === 0;
  return isClean ? exitCodes.clean : exitCodes.findings;
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
      if (waiting.code === UNTRUSTED_CODE)
        throw new AppError(
          'storage_unavailable',
          `Nothing was sent, for it is not known that the vault is the one (${whyOf(waiting)}). The same command, so mended, goes on where this ended.`,
        );
      talk.waiting(waiting);
      since ??= performance.now();
      if (performance.now() - since > ms)
        throw new AppError(
          'storage_unavailable',
          `The vault took nothing for too long (${whyOf(waiting)}). Nothing is lost: the same command goes on where this ended.`,
        );
    },
    through: (): void => {
      since = null;
    },
  };
};

/** Options that say nothing, or two things, together. */
const assertTogether = (options: ImportOptions): void => {
  const { dryRun, wipe, yesWipe, listExceptions, acceptMissing, yesMissing } = options;
  const invalid = (sentence: string): AppError => new AppError('config_invalid', sentence);
  if (yesMissing !== undefined && acceptMissing !== true)
    throw invalid('--yes-missing confirms --accept-missing, which is not given: nothing would be accepted.');
  if (yesWipe !== undefined && wipe !== true)
    throw invalid('--yes-wipe confirms --wipe, which is not given: nothing would be removed.');
  if (wipe === true && (dryRun === true || listExceptions === true))
    throw invalid(
      '--wipe removes files, and --dry-run and --list-exceptions change nothing: give one of them.',
    );
  if (dryRun === true && listExceptions === true)
    throw invalid(
      '--dry-run looks at a share anew, and --list-exceptions tells of an import: give one of them.',
    );
};

const journalOf = async (folder: string, options: ImportOptions): Promise<string> => {
  if (options.journal === undefined)
    throw new AppError(
      'config_invalid',
      'Name a file with --journal: the import goes on from it when it was cut off.',
    );
  return outside(folder, options.journal, '--journal');
};

const readTold = async (folder: string, options: ImportOptions) => {
  const path = await journalOf(folder, options);
  const settings = await readAgentOptions(options, processEnvironment());
  const parse = parserOf(options);
  if (options.report !== undefined) await outside(folder, options.report, '--report');
  return { settings, parse, path };
};

const checkUnitsOf = (folder: string, options: ImportOptions, client: VaultClient, journal: Journal) => {
  const { careUnit } = Object.fromEntries(options.field);
  // As the calls will be said to be of them (createCallOf): the pattern's unit, and --field's where it reads none.
  const named = async (signal: AbortSignal): Promise<readonly NamedUnits[]> => [
    ...(careUnit === undefined ? [] : [{ option: 'field' as const, units: [careUnit] }]),
    ...(options.pattern === undefined
      ? []
      : [
          {
            option: 'pattern' as const,
            units: await unitsInPaths({ folder, parse: parserOf(options), journal }, signal),
          },
        ]),
  ];
  const check = createCheckUnits({ client, named, showNames: options.showNames === true });
  return (signal: AbortSignal) => asTold(() => check(signal));
};

const importAll = async (folder: string, options: ImportOptions, signal: AbortSignal): Promise<number> => {
  const { settings, parse, path } = await asTold(() => readTold(folder, options));
  const journal = await openJournal(path, { folder, vault: new URL(settings.url).origin });
  const client = openVault(settings);
  try {
    await asTold(() => assertReportFree(options));
    const talk = createImportTalk({ showNames: options.showNames === true });
    const questions = createVaultQuestions(client);
    const patience = createPatience(options.patience, talk);
    const takeFile = createTakeFile({
      client,
      questions,
      gate: createDeliveryGate(PAUSES),
      journal,
      callOf: createCallOf({ parse, said: Object.fromEntries(options.field), now: Date.now }),
      checkUnits: checkUnitsOf(folder, options, client, journal),
      sides: sidesOf(options),
      minAge: minAgeOf(options),
      writersOf: createWriters({ maxAgeMs: LOOK_MS }),
      now: Date.now,
      onWaiting: patience.waiting,
    });
    await runImport(
      {
        folder,
        parallel: options.parallel,
        takeFile,
        untold: createUntold({
          parse: parserOf(options),
          sides: sidesOf(options),
          journal,
          onException: talk.exception,
        }),
        onException: talk.exception,
        onProgress: (progress) => {
          patience.through();
          talk.progress(progress);
        },
      },
      signal,
    );
    return await endImport({ folder, options, journal, questions, talk, signal });
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
    await asTold(() => assertTogether(options));
    if (options.listExceptions === true)
      return await listExceptions(folder, await asTold(() => journalOf(folder, options)), cut.signal);
    return await (options.dryRun === true ? dryRun : importAll)(folder, options, cut.signal);
  } catch (error) {
    if (!cut.signal.aborted) throw error;
    say('callvault: ended by a signal. Nothing is lost: the same command goes on where this ended.');
    return exitCodes.couldNotRun;
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
  }
};
