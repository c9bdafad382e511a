import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { AppError } from '../core/errors.ts';
import { parsePort, refuseRepetition } from './arguments.ts';
import { setUpDemo } from './demo-setup.ts';
import { type DemoVault, startDemoVault } from './demo-vault.ts';
import { walkThrough } from './demo-walk.ts';
import { exitCodes } from './exit-codes.ts';
import { printData, say, sayError } from './print.ts';

type Options = {
  readonly port: string;
  readonly dataDir: string;
  readonly keysDir?: string;
  readonly json?: boolean;
  readonly exit?: boolean;
};

/** In a data folder that a demo has made: another demo may add to it. */
const MARK = 'made-by-demo';

const isVault = (dataDir: string): boolean => existsSync(join(dataDir, 'postgres'));

/** A demo in the folder of a vault in use would add accounts and calls to it that nobody there has asked for. */
const assertOwnFolder = (dataDir: string): void => {
  if (!isVault(dataDir) || existsSync(join(dataDir, MARK))) return;
  throw new AppError(
    'config_invalid',
    `${dataDir} holds a vault that no demo has made: name another folder (npm run demo -- --data-dir ./demo), or this one if it is meant.`,
  );
};

/** A start that comes to nothing, such as on a port in use, may have made a vault: that is the demo's as well. */
const startMarked = async (
  { port, dataDir, keysDir }: Options,
  tell: (line: string) => void,
): Promise<DemoVault> => {
  const isNew = !isVault(dataDir);
  try {
    return await startDemoVault({ port, dataDir, ...(keysDir === undefined ? {} : { keysDir }), tell });
  } finally {
    if (isNew && isVault(dataDir))
      writeFileSync(join(dataDir, MARK), 'Accounts and calls of a demo.\n', { mode: 0o600 });
  }
};

/** `npm run demo`: a whole vault, filled, played, accounted for and verified, through its own API and commands. */
const demo = async (options: Options): Promise<number> => {
  const tell = options.json === true ? () => undefined : say;
  const vault = await startMarked(options, tell);
  const stop = (): void => {
    void vault.stop();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    const scene = await setUpDemo(vault, tell);
    const verified = await walkThrough(vault, scene, tell);
    if (options.json === true) printData(JSON.stringify({ url: vault.url, ...scene.contract }));
    if (options.exit === true || !verified) {
      await vault.stop();
      return verified ? exitCodes.clean : exitCodes.findings;
    }
    tell(
      `\nThe vault keeps serving on ${vault.url}. Ctrl-C ends it; everything stays in ${options.dataDir}.`,
    );
    const code = await vault.exited;
    return code === 0 ? exitCodes.clean : exitCodes.couldNotRun;
  } catch (error) {
    await vault.stop();
    throw error;
  }
};

const program = new Command('demo')
  .description('A whole vault on this machine, with sample calls and one account per role.')
  .option('--port <port>', 'where it serves on 127.0.0.1; 0 for any free port', parsePort, '8080')
  .option('--data-dir <folder>', 'where it keeps everything', './data')
  .option('--keys-dir <folder>', 'where it keeps the keys (default: the data folder’s name with .keys)')
  .option('--json', 'one line of JSON on stdout when ready, nothing else')
  .option('--exit', 'end when everything has been shown, instead of serving on')
  .exitOverride()
  .action(async (options: Options) => {
    if (program.getOptionValueSource('dataDir') !== 'cli') assertOwnFolder(options.dataDir);
    process.exitCode = await demo(options);
  });
refuseRepetition(program);

program.parseAsync(process.argv).catch((error: unknown) => {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCodes.clean : exitCodes.usage;
    return;
  }
  sayError(error);
  process.exitCode = exitCodes.couldNotRun;
});
