import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { bareEnvironment } from './vault.ts';

const ROOT = join(import.meta.dirname, '../..');

type Account = { readonly email: string; readonly password: string };
/** The line of `--json`: design for programs that use the demo. */
export type Contract = {
  readonly url: string;
  readonly accounts: Record<'admin' | 'nurse' | 'nurse2' | 'compliance', Account>;
  readonly source: { readonly apiKey: string };
};

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Demos that a failed test left running. */
const unfinished = new Set<() => Promise<Ended>>();

/** `npm run demo -- --port 0 …`. */
export const demo = (...args: string[]) => {
  const child = spawn('npm', ['run', '--silent', 'demo', '--', '--port', '0', ...args], {
    cwd: ROOT,
    env: bareEnvironment(),
    detached: true,
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, ...said })));
  const line = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      if (said.stdout.includes('\n')) resolve(said.stdout);
    });
    void ended.then(({ stderr }) => reject(new Error(`the demo ended before it was ready: ${stderr}`)));
  });
  line.catch(() => undefined);
  /** To the whole group, as the terminal does with Ctrl-C. */
  const interrupt = (): Promise<Ended> => {
    process.kill(-(child.pid as number), 'SIGINT');
    return ended;
  };
  unfinished.add(interrupt);
  void ended.then(() => unfinished.delete(interrupt));
  return { ended, line, interrupt };
};

export const endDemos = async (): Promise<void> => {
  for (const interrupt of unfinished) await interrupt();
};
