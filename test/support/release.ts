import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

const repository = join(import.meta.dirname, '../..');

/** What the image holds, by the Dockerfile's own word. */
const shipped = (): readonly string[] =>
  [
    ...readFileSync(join(repository, 'Dockerfile'), 'utf8').matchAll(/^COPY --from=build .*\/app\/(\S+) /gm),
  ].map(([, name]) => name as string);

/** `npm run build`, into a folder of the caller's. */
export const build = (target: string): void => {
  execFileSync(process.execPath, [join(repository, 'scripts/build.ts'), target], { stdio: 'pipe' });
};

/**
 * A release as the image has it: what the last stage of the Dockerfile copies, and nothing else of the checkout. Returns its
 * folder, below `base`.
 */
export const makeRelease = (base: string): string => {
  const folder = mkdtempSync(join(base, 'release-'));
  for (const name of shipped()) {
    if (name === 'dist') build(join(folder, name));
    else if (name === 'node_modules') symlinkSync(join(repository, name), join(folder, name));
    else cpSync(join(repository, name), join(folder, name), { recursive: true });
  }
  return folder;
};

export type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

export type Started = {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly ended: Promise<Ended>;
};

const running = new Set<ChildProcess>();

/** For `afterEach`: ends what a failed test has left running. */
export const endStarted = async (): Promise<void> => {
  for (const child of running) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
};

/**
 * Starts a command as post commands and units do: by its absolute path, with no PATH, no HOME and another working folder.
 * `wrapper` is a program that runs it.
 */
export const start = (
  command: readonly string[],
  { env = {}, wrapper = [] }: { env?: NodeJS.ProcessEnv; wrapper?: readonly string[] } = {},
): Started => {
  const [program, ...args] = [...wrapper, ...command] as [string, ...string[]];
  const child = spawn(program, args, { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let [out, err] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = once(child, 'close').then(([code]) => {
    running.delete(child);
    return { code: code as number | null, out, err };
  });
  return { child, stdout: () => out, ended };
};
