import { Command } from 'commander';
import { version } from '../version.ts';
import { addAgentCommands } from './agent-commands.ts';
import { parseEmail, parseName, parseRecording, refuseRepetition } from './arguments.ts';
import { adminCreate } from './commands/admin-create.ts';
import { doctor } from './commands/doctor.ts';
import { exportKeys } from './commands/export-keys.ts';
import { logKey } from './commands/log-key.ts';
import { migrateCommand } from './commands/migrate.ts';
import { openKey } from './commands/open-key.ts';
import { parseDay, pruneLog } from './commands/prune-log.ts';
import { collectApprover, parseReason, restore } from './commands/restore.ts';
import { verify } from './commands/verify.ts';
import { collectLog, parseListen, witness } from './commands/witness.ts';
import { run, runProgram } from './run-program.ts';
import { collectHead, collectKey, collectWitness, quorumOf } from './verify-options.ts';

/** Commands resolve to their exit code. stdout is data, stderr is talk. */
const program = new Command('callvault')
  .description('A vault for recorded telephone calls of healthcare lines.')
  .version(version)
  .exitOverride()
  .showHelpAfterError('(callvault --help lists the commands)')
  .addHelpText(
    'after',
    `
Exit codes: 0 done and clean, 1 done and something was found, 2 not understood, 3 could not be carried out.
Settings come from the environment and from .env in the current folder; .env.example lists them.`,
  );

program
  .command('serve')
  .description('run the vault (the same as npm start)')
  .action(async () => {
    const { serve } = await import('../main.ts');
    await serve();
  });

program
  .command('migrate')
  .description(
    'bring the database of DATABASE_URL to this release, as the role of MIGRATE_DATABASE_URL, and make the bucket',
  )
  .action(run(migrateCommand));

program
  .command('admin-create')
  .description(
    'make the first administrator: of an organisation, or without --organisation of the installation',
  )
  .requiredOption('--email <address>', 'how the administrator signs in', parseEmail)
  .option('--organisation <name>', 'the care giver; made, with its keys, when it is new', parseName)
  .option('--name <name>', 'shown to others', parseName, 'Administrator')
  .option('--json', 'one line of JSON')
  .action(run(adminCreate));

program
  .command('open-key')
  .description(
    'disaster recovery: the key of one recording, for another program that reads the format; writes an entry first',
  )
  .argument('<recording>', 'id of the recording', parseRecording)
  .option('--json', 'one line of JSON')
  .action(run(openKey));

program
  .command('export-keys')
  .description(
    'write the wrapped keys of all recordings to a bundle, for a disaster without the database; the vault itself does so daily',
  )
  .argument('[folder]', 'where to; without it the object store, where the newest two are kept')
  .option('--json', 'one line of JSON')
  .action(run(exportKeys));

program
  .command('log-key')
  .description('print the public key with which this installation signs checkpoints of the access log')
  .action(run(logKey));

program
  .command('verify')
  .description(
    're-derive the whole access log of this installation and compare it with what the database says; or verify exports of a log, or the log of a running vault, without the installation',
  )
  .argument('[files...]', 'exports of a log (- for the standard input): neither database nor network is used')
  .option(
    '--live <url>',
    'a running vault, as an officer sees it; her access token in CALLVAULT_TOKEN or on the standard input',
  )
  .option('--against <folder>', 'checkpoints that were kept elsewhere, which the log must contain')
  .option(
    '--key <key>',
    'a key of the log that is trusted, as NAME+ID+KEY; can be given several times',
    collectKey,
    [],
  )
  .option('--witness <key>', 'a witness that is trusted; can be given several times', collectWitness, [])
  .option(
    '--quorum <number>',
    'how many of the witnesses must have seen a checkpoint; without it all',
    quorumOf,
  )
  .option(
    '--head <size:root>',
    'a head that was written down elsewhere, which the log must contain; can be given several times',
    collectHead,
    [],
  )
  .option('--json', 'one line of JSON')
  .action(run(verify));

program
  .command('prune-log')
  .description(
    'remove bodies of the access log that are older than a day and than the legal floor, as the role of RETENTION_DATABASE_URL; what was committed to stays',
  )
  .requiredOption('--before <day>', 'such as 2021-12-31, UTC', parseDay)
  .option('--json', 'one line of JSON')
  .action(run(pruneLog));

program
  .command('restore')
  .description(
    'after a backup of the database was restored, or a replica took over: open a new epoch of the access log, which two administrators or compliance officers answer for; their passwords are asked for, or read from the standard input, one a line',
  )
  .requiredOption(
    '--declare',
    'say in the log what was lost; the data itself is restored before, by your own means',
  )
  .requiredOption('--reason <text>', 'a sentence for whoever reads the log', parseReason)
  .requiredOption('--approver <email>', 'how one of the two signs in; given twice', collectApprover, [])
  .option('--json', 'one line of JSON')
  .action(run(restore));

program
  .command('doctor')
  .description('say what works and what does not')
  .option('--ready', 'only ask the running vault whether it is ready; for health checks')
  .option('--json', 'one line of JSON')
  .action(run(doctor));

program
  .command('witness')
  .description(
    'witness access logs of other installations: cosign what continues what was seen, refuse the rest',
  )
  .requiredOption('--state <file>', 'what it remembers; one file, one witness')
  .requiredOption('--key <file>', 'its own key; made, with the state, when there is none')
  .option('--name <name>', 'under which a new witness signs, such as compliance.example.org/w1')
  .option(
    '--log <key>',
    'a log, as "callvault log-key" prints it; can be given several times',
    collectLog,
    [],
  )
  .requiredOption('--listen <host:port>', 'where logs reach it, without TLS', parseListen)
  .action(run(witness));

addAgentCommands(program);
refuseRepetition(program);
await runProgram(program);
