import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endOf } from './child.ts';

/** Black box: a running vault and its command line, as a stranger has them. Nothing of src is imported here. */
const ROOT = join(import.meta.dirname, '../..');
const LAUNCHER = join(ROOT, 'bin/callvault.js');
/** As `npm start` has it: flags of Node, then the program. */
const START = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } })
  .scripts.start;
const NODE_FLAGS = START.split(' ')
  .slice(1, -1)
  .map((word) => (word.startsWith('./') ? join(ROOT, word) : word));

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type VaultFolder = {
  readonly home: string;
  readonly dataDir: string;
  readonly keysDir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs `callvault …` on this installation. */
  cli(...args: string[]): Promise<Ran>;
  /** The same with this on its standard input. */
  cliTold(input: string, ...args: string[]): Promise<Ran>;
  /** Starts `callvault serve`; resolves when it listens. */
  start(env?: Readonly<Record<string, string>>, wrapper?: readonly string[]): Promise<RunningVault>;
  remove(): Promise<void>;
};

export type RunningVault = {
  readonly url: string;
  readonly pid: number;
  /** Everything it printed so far. */
  output(): string;
  stop(): Promise<number | null>;
  /** SIGKILL to the vault's own process; the database it started is left to its fate. */
  kill(): Promise<void>;
  readonly exited: Promise<number | null>;
};

/** Only what a program needs to run: a test must not depend on the machine's own settings. */
export const bareEnvironment = (): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  LANG: 'C.UTF-8',
  ...(process.env.NODE_COMPILE_CACHE === undefined
    ? {}
    : { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }),
  ...(process.env.TMPDIR === undefined ? {} : { TMPDIR: process.env.TMPDIR }),
});

const waitForAddress = (
  child: ChildProcess,
  exited: Promise<number | null>,
  output: () => string,
): Promise<string> =>
  new Promise((resolve, reject) => {
    const look = (): void => {
      const url = /Callvault \S+ on (https?:\/\/\S+?)(,|\s|$)/.exec(output())?.[1];
      if (url !== undefined) resolve(url);
    };
    child.stdout?.on('data', look);
    void exited.then((code) =>
      reject(new Error(`the vault ended with ${code} before it listened:\n${output()}`)),
    );
  });

const startVault = async (
  env: NodeJS.ProcessEnv,
  cwd: string,
  wrapper: readonly string[],
): Promise<RunningVault> => {
  // Node itself, not the launcher: the pid is then the vault's, to be killed or traced.
  const command = [...wrapper, process.execPath, ...NODE_FLAGS, join(ROOT, 'src/main.ts')];
  const child = spawn(command[0] as string, command.slice(1), {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Leader of a session, so that a signal can reach all of it as Ctrl-C does.
    detached: true,
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  const exited = endOf(child);
  // A test run that is broken off leaves no vault behind.
  const endWithUs = (): void => void child.kill('SIGTERM');
  process.once('exit', endWithUs);
  void exited.then(() => process.off('exit', endWithUs));
  const url = await waitForAddress(child, exited, () => text);
  return {
    url,
    pid: child.pid as number,
    output: () => text,
    exited,
    async stop() {
      child.kill('SIGTERM');
      return exited;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
};

const runCli = (
  where: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
  args: readonly string[],
  input?: string,
): Promise<Ran> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [LAUNCHER, ...args],
      { ...where, maxBuffer: 64e6 },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
    // A command that ends without reading is no fault of the test's.
    child.stdin?.on('error', () => undefined);
    if (input !== undefined) child.stdin?.end(input);
  });

/** A new, empty installation in a folder of its own, on a free port. */
export const newVaultFolder = async (extra: Readonly<Record<string, string>> = {}): Promise<VaultFolder> => {
  const home = await mkdtemp(join(tmpdir(), 'cva-'));
  const dataDir = join(home, 'data');
  const keysDir = join(home, 'data.keys');
  const env = { ...bareEnvironment(), DATA_DIR: dataDir, PORT: '0', FREE_DISK_FLOOR: '0', ...extra };
  const running = new Set<RunningVault>();
  return {
    home,
    dataDir,
    keysDir,
    env,
    cli: (...args) => runCli({ cwd: home, env }, args),
    cliTold: (input, ...args) => runCli({ cwd: home, env }, args, input),
    async start(more = {}, wrapper = []) {
      const vault = await startVault({ ...env, ...more }, home, wrapper);
      running.add(vault);
      void vault.exited.then(() => running.delete(vault));
      return vault;
    },
    async remove() {
      for (const vault of running) await vault.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
};
