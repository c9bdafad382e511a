import { Command } from 'commander';
import { version } from '../version.ts';
import { addAgentCommands } from './agent-commands.ts';
import { refuseRepetition } from './arguments.ts';
import { runProgram } from './run-program.ts';

/** `callvault-agent`: what runs beside a telephony system, without the vault. Built into one file by `npm run build`. */
const program = new Command('callvault-agent')
  .description('Hands recordings of a telephony system over to a Callvault.')
  .version(version)
  .exitOverride()
  .showHelpAfterError('(callvault-agent --help lists the commands)')
  .addHelpText(
    'after',
    '\nExit codes: 0 done and clean, 1 done and something was found, 2 not understood, 3 could not be carried out.',
  );
addAgentCommands(program);
refuseRepetition(program);
// Not awaited: the one file that it is built into is no module.
void runProgram(program);
