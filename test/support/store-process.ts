import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ObjectKey } from '../../src/storage/object-store.ts';

const script = fileURLToPath(new URL('./object-store-process.ts', import.meta.url));

export type StorePlace = { readonly kind: 'file' | 's3'; readonly at: string };

/**
 * Runs object-store-process.ts in a process of its own. `wrapper` is a program with arguments that the rest is given to.
 * `said` is the one thing it says; `kill` ends it as a power switch would, and resolves when it is gone.
 */
export const startStoreProcess = (
  mode: string,
  key: ObjectKey,
  { kind, at }: StorePlace,
  wrapper: readonly string[] = [],
) => {
  const command: readonly string[] = [...wrapper, process.execPath, script, mode, key, kind, at];
  const child = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  const complaints = child.stderr.toArray();
  const firstLine = async (): Promise<unknown> => {
    for await (const line of createInterface(child.stdout)) return JSON.parse(line);
    throw new Error(`it ended without a word: ${(await complaints).join('')}`);
  };
  return {
    said: firstLine(),
    ended,
    kill: async (): Promise<void> => {
      child.kill('SIGKILL');
      await ended;
    },
  };
};
