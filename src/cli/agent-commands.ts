import { type Command, Option } from 'commander';
import { UNSEEN_REST_MS } from '../agent/watch-rest.ts';
import {
  collectField,
  collectPushField,
  collectSideField,
  FIELD,
  parseCallId,
  parseConcurrency,
  parseMediaType,
  parsePause,
  parseSeconds,
  SIDE_FIELD,
} from './agent-arguments.ts';
import { push } from './commands/push.ts';
import { watch } from './commands/watch.ts';
import { addImportCommand, parseTimeZone } from './import-command.ts';
import { run } from './run-program.ts';

const withVault = (command: Command): Command =>
  command
    .option('--url <url>', 'the vault, such as https://vault.example.se; or CALLVAULT_URL')
    .option(
      '--key-file <file>',
      'the API key of the source, in a file of its owner alone; or CALLVAULT_SOURCE_KEY_FILE',
    )
    .option('--ca <file>', 'certificates (PEM) of the authority that the vault is known by; or CALLVAULT_CA')
    .option(
      '--seal-with <file>',
      'seal and sign every recording before it leaves, with this Ed25519 private key (PEM) in a file of its owner alone; or CALLVAULT_SIGNING_KEY_FILE',
    )
    .option(
      '--edge-key <file>',
      'the key of the organisation to seal to, as GET /v1/edge-key answers it; needed with --seal-with; or CALLVAULT_EDGE_KEY_FILE',
    );

const seconds = (flags: string, description: string, standard: number, read = parseSeconds): Option =>
  new Option(flags, description).argParser(read).default(standard * 1_000, String(standard));
const ZONE = 'in which names of files, and side files, tell times';

const addWatchCommand = (program: Command): void => {
  withVault(
    program
      .command('watch')
      .description('empty a folder of recordings into a vault, for as long as it runs')
      .argument('<folder>', 'where recordings appear; also on a share'),
  )
    .option('--recursive', 'folders below it as well')
    .option('--all', 'also files whose names promise no audio')
    .option('--keep', 'leave the files where they are, and remember them')
    .option('--with-side-file', 'take a file only when FILE.json, FILE.xml or FILE.csv lies beside it')
    .option('--field <name=value>', FIELD, collectField, [])
    .option('--side-field <theirs=ours>', SIDE_FIELD, collectSideField, [])
    .option('--time-zone <zone>', ZONE, parseTimeZone, 'Europe/Stockholm')
    .option('--state <file>', 'what it remembers; without it, STATE_DIRECTORY/watch.state')
    .addOption(
      seconds(
        '--interval <seconds>',
        'between two looks, at least 0.1; a file unchanged in both is finished',
        5,
        parsePause,
      ),
    )
    .addOption(
      seconds(
        '--unseen-rest <seconds>',
        'where a writer may be unseen (another user, more rights, a share): how long a file rests before it is finished, and thirty times as long one with hardly any sound; 0: no longer than elsewhere',
        UNSEEN_REST_MS / 1_000,
      ),
    )
    .option('--concurrency <number>', 'deliveries at a time', parseConcurrency, 4)
    .addOption(
      seconds(
        '--longest-pause <seconds>',
        'between tries, while the vault does not answer; at least 0.1',
        600,
        parsePause,
      ),
    )
    .option('--once', 'end when what is finished now has been handed over')
    .option('--list-refused', 'only show, on a terminal, which files the vault has refused')
    .option('--json', 'one line of JSON for every event')
    .action(run(watch));
};

/** What runs beside a telephony system, also in a program of its own. */
export const addAgentCommands = (program: Command): void => {
  withVault(
    program
      .command('push')
      .description(
        'hand finished recordings over to a vault; what is known of the call comes from CALLVAULT_CALL_ID, CALLVAULT_CALLER_NUMBER …, from FILE.json, FILE.xml or FILE.csv beside the file, and from options',
      )
      .argument('<files...>', 'recordings'),
  )
    .option(
      '--call-id <id>',
      'the call that all these files belong to; without any the digest of the file',
      parseCallId,
    )
    .option('--field <name=value>', FIELD, collectPushField, [])
    .option('--side-field <theirs=ours>', SIDE_FIELD, collectSideField, [])
    .option('--read-name', 'where there is no side file: read what the name of the file says of the call')
    .option('--time-zone <zone>', ZONE, parseTimeZone, 'Europe/Stockholm')
    .option('--metadata-stdin', 'read more fields, numbers too, as JSON from the standard input')
    .option(
      '--media-type <type>',
      'of sound without a container, such as audio/x-slin;rate=16000',
      parseMediaType,
    )
    .option('--remove', 'remove a file, and its side file, when the vault has answered for its bytes')
    .addOption(seconds('--try-for <seconds>', 'go on trying while the vault does not answer', 60))
    .option('--json', 'one line of JSON')
    .action(run(push));

  addWatchCommand(program);
  addImportCommand(program, withVault);
};
