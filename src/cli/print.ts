import { isAppError } from '../core/errors.ts';

/** stdout is data. */
export const printData = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** stderr is talk. */
export const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** An error as a person at a shell should read it: sentences, never a stack. */
export const sayError = (error: unknown): void => {
  if (!isAppError(error)) {
    say(`callvault: ${error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]}` : 'failed'}`);
    return;
  }
  say(`callvault: ${error.message}`);
  // A configuration error tells its faults in its own message already.
  if (error.code === 'config_invalid') return;
  for (const { where, fault } of error.extras.faults ?? []) say(`  ${where}: ${fault}`);
};
