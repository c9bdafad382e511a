import { type Command, InvalidArgumentError, Option } from 'commander';
import { customGroups } from '../core/legacy-names.ts';
import { isTimeZone } from '../core/local-time.ts';
import {
  collectField,
  collectSideField,
  FIELD,
  parseConcurrency,
  parseSeconds,
  SIDE_FIELD,
} from './agent-arguments.ts';
import { importFolder } from './commands/import.ts';
import { run } from './run-program.ts';

export const parseTimeZone = (text: string): string => {
  if (!isTimeZone(text)) throw new InvalidArgumentError('Write a time zone, such as Europe/Stockholm.');
  return text;
};
const parseCount = (text: string): number => {
  if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError('Give the number of files.');
  return Number(text);
};
const parseMinutes = (text: string): number => parseSeconds(text) * 60;

/** What becomes of what stays, and of what is stored. */
const withEnd = (command: Command): Command =>
  command
    .option('--show-names', 'name the files that stay; names may hold numbers')
    .option(
      '--list-exceptions',
      'name what an import left in the folder, with its reason and the id that the report has for it; on a terminal only',
    )
    .option(
      '--accept-missing',
      'what stayed in an earlier run and lies there no more was dealt with, and is no exception from now on',
    )
    .option(
      '--yes-missing <count>',
      'confirms --accept-missing where nothing that the journal knows lies there any more: how many files stayed',
      parseCount,
    )
    .option('--wipe', 'when all is stored and reported, remove the verified files, after a confirmation')
    .option('--yes-wipe <count>', 'the confirmation: how many verified files lie here', parseCount);

/** `callvault import`: the evacuation of an old share. `withVault` adds the options that name the vault. */
export const addImportCommand = (program: Command, withVault: (command: Command) => Command): void => {
  const command = withVault(
    program
      .command('import')
      .description(
        'empty an old share of recordings into a vault: each is stored, read back and compared before it counts; begin with --dry-run',
      )
      .argument('<folder>', 'the share, or a part of it'),
  )
    .option('--dry-run', 'take inventory and change nothing; needs no vault')
    .option(
      '--journal <file>',
      'what is known of every file, without names; an import that was cut off goes on from it',
    )
    .option(
      '--report <file>',
      'where the report goes, which must be free; without it, beside the journal, each under a name of its own',
    )
    .option(
      '--time-zone <zone>',
      'in which the names, and side files, tell times',
      parseTimeZone,
      'Europe/Stockholm',
    )
    .option(
      '--pattern <regexp>',
      `how paths in the share are read, with named groups (${customGroups.join(', ')}); what it does not match is read as usual`,
    )
    .option('--field <name=value>', `${FIELD}, and so does what --pattern reads`, collectField, [])
    .option('--side-field <theirs=ours>', SIDE_FIELD, collectSideField, [])
    .option('--parallel <number>', 'files at a time', parseConcurrency, 4)
    .option(
      '--min-age <seconds>',
      'files that were touched since may still be written, and stay (default: 60, or an hour where a writer may be unseen, as on a share)',
      parseSeconds,
    )
    .addOption(
      new Option('--patience <minutes>', 'how long the vault may take nothing')
        .argParser(parseMinutes)
        .default(3_600_000, '60'),
    );
  withEnd(command).action(run(importFolder));
};
