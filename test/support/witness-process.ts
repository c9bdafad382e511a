import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { endOf } from './child.ts';
import { bareEnvironment } from './vault.ts';

const ROOT = join(import.meta.dirname, '../..');

export type WitnessProcess = {
  readonly url: string;
  /** Its public key, as it prints it. */
  readonly key: string;
  readonly process: ChildProcess;
  /** What it has told its operator so far. */
  said(): string;
  /** SIGTERM unless told; resolves to its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
};

/** `callvault witness` as a process of its own, in `folder`; rejects with what it said when it does not listen. */
export const startWitness = async (
  folder: string,
  logs: readonly string[],
  args: readonly string[] = ['--name', 'witness.example/w1'],
  listen = '127.0.0.1:0',
): Promise<WitnessProcess> => {
  const files = ['--state', join(folder, 'state'), '--key', join(folder, 'key'), '--listen', listen];
  const child = spawn(
    process.execPath,
    [join(ROOT, 'src/cli/main.ts'), 'witness', ...files, ...logs.flatMap((log) => ['--log', log]), ...args],
    { cwd: folder, env: bareEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let out = '';
  let said = '';
  const exited = once(child, 'exit');
  const url = await new Promise<string>((resolve, reject) => {
    // Two pipes: what is written first need not arrive first.
    const look = (): void => {
      const found = /on (http:\/\/\S+)/.exec(said)?.[1];
      if (found !== undefined && out.endsWith('\n')) resolve(found);
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      look();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      look();
    });
    void endOf(child).then((code) => reject(new Error(`the witness ended with ${code}: ${said}`)));
  });
  return {
    url,
    key: out.trim(),
    process: child,
    said: () => said,
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return (await exited)[0];
    },
  };
};
