import { type Command, CommanderError } from 'commander';
import { exitCodes } from './exit-codes.ts';
import { sayError } from './print.ts';
import { UsageError } from './usage.ts';

/** Commands resolve to their exit code. */
export const run =
  <A extends unknown[]>(command: (...args: A) => Promise<number>) =>
  async (...args: A): Promise<void> => {
    process.exitCode = await command(...args);
  };

/** Carries out what the command line says; sets the exit code, and throws nothing. */
export const runProgram = async (program: Command): Promise<void> => {
  // Whoever reads has heard enough (`callvault … | head`): the work goes on, and nothing is wrong.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? exitCodes.clean : exitCodes.usage;
      return;
    }
    sayError(error instanceof UsageError ? error.fault : error);
    process.exitCode = error instanceof UsageError ? exitCodes.usage : exitCodes.couldNotRun;
  }
};
