import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** A Node process of its own, for what cannot be tried in the test's: being killed, racing, another user. */
export type Child = {
  readonly pid: number;
  readonly process: ChildProcess;
  /** The next line it writes to stdout; rejects when it ends without one, with what it said on stderr. */
  nextLine(): Promise<string>;
  /** Kills it (SIGKILL unless told) and waits for its end. */
  kill(signal?: NodeJS.Signals): Promise<void>;
};

const root = join(import.meta.dirname, '../..');

/**
 * Runs a piece of TypeScript whose imports are written from the repository's root (`./src/…`). Its working folder is the
 * root. The caller kills it.
 */
export const runChild = (
  script: string,
  options: { readonly uid?: number; readonly gid?: number } = {},
): Child => {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid as number,
    process: child,
    async nextLine() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the child process ended without a line: ${said}`);
      return value;
    },
    async kill(signal = 'SIGKILL') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill(signal);
      await ended;
    },
  };
};

/** What outlives a process and holds its pipes is waited for this long. */
const LAST_WORDS_MS = 2_000;

/**
 * The exit code of a process, null for one that a signal has ended, once all that it said has been read: that it has ended is
 * told earlier.
 */
export const endOf = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => {
    child.once('close', (code) => resolve(code));
    child.once('exit', (code) => setTimeout(() => resolve(code), LAST_WORDS_MS).unref());
  });

/** Whether a process runs; one that has ended but was not collected yet does not. */
export const isAlive = (pid: number): boolean => {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return existsSync(`/proc/${pid}`);
  }
};

/** Waits until something is so; the test's own limit ends the waiting. */
export const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await sleep(10);
};
