import { spawn } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { CareLineVault } from './care-line.ts';
import { residentMiB } from './resident-memory.ts';
import type { Ran } from './vault.ts';

export type ReportLine = {
  readonly file: string;
  readonly outcome: string;
  readonly code?: string;
  readonly bytes?: number;
  readonly sha256?: string;
  readonly recording?: string;
  readonly created?: boolean;
  readonly kept?: string;
  readonly was?: string;
  readonly reason?: string;
};
export type ReportTotals = {
  readonly files: number;
  readonly verified: number;
  readonly wiped: number;
  readonly exceptions: number;
  readonly bytes: number;
  readonly reasons: Readonly<Record<string, number>>;
  readonly kept: Readonly<Record<string, number>>;
};

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

/** Reports beside a journal, in the order in which they were written. */
export const reportsOf = async (journal: string): Promise<string[]> => {
  const names = (await readdir(dirname(journal))).filter(
    (name) => name.startsWith(`${basename(journal)}.`) && name.endsWith('.report'),
  );
  const paths = names.map((name) => join(dirname(journal), name));
  const times = await Promise.all(paths.map(async (path) => (await stat(path, { bigint: true })).mtimeNs));
  return paths
    .map((path, n) => ({ path, at: times[n] as bigint }))
    .toSorted((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ path }) => path);
};

/** `callvault import` against a vault, with journal and key in the vault's own folder, outside any share. */
export const importInto = async (
  { folder, vault, line }: CareLineVault,
  share: string,
  journal = 'import.journal',
  parallel = '8',
) => {
  const path = (name: string) => join(folder.home, name);
  await writeFile(path('source.key'), line.apiKey, { mode: 0o600 });
  const args = [
    'import',
    share,
    '--url',
    vault.url,
    '--key-file',
    path('source.key'),
    '--journal',
    path(journal),
    '--min-age',
    '0',
    '--parallel',
    parallel,
  ];
  return {
    journal: path(journal),
    run: (...more: string[]): Promise<Ran> => folder.cli(...args, ...more),
    /** Killed after so long; null when it ended before that by itself, with its exit code. */
    runFor(ms: number, ...more: string[]): Promise<number | null> {
      const child = spawn(process.execPath, [MAIN, ...args, ...more], {
        cwd: folder.home,
        env: folder.env,
        stdio: 'ignore',
      });
      const timer = setTimeout(() => child.kill('SIGKILL'), ms);
      return new Promise((resolve) =>
        child.once('exit', (code) => {
          clearTimeout(timer);
          resolve(code);
        }),
      );
    },
    /** To its end, and its resident memory (MiB) every ten seconds. */
    watched(...more: string[]): Promise<{ code: number | null; peaks: number[] }> {
      const child = spawn(process.execPath, [MAIN, ...args, ...more], {
        cwd: folder.home,
        env: folder.env,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const peaks: number[] = [];
      const look = setInterval(
        () =>
          void residentMiB(child.pid as number).then(
            (mib) => peaks.push(mib),
            () => undefined,
          ),
        10_000,
      );
      return new Promise((resolve) =>
        child.once('exit', (code) => {
          clearInterval(look);
          resolve({ code, peaks });
        }),
      );
    },
    /** The last one that was written. */
    async report(): Promise<{ lines: ReportLine[]; totals: ReportTotals; text: string }> {
      const text = await readFile((await reportsOf(path(journal))).at(-1) as string, 'utf8');
      const lines = text
        .trimEnd()
        .split('\n')
        .map((one) => JSON.parse(one));
      return { lines: lines.slice(1, -1), totals: lines.at(-1), text };
    },
  };
};

export type ImportRun = Awaited<ReturnType<typeof importInto>>;

/** The lines of JSON that an import wrote into a pipe. */
export const eventsOf = ({ stdout }: Ran): { event: string; [name: string]: unknown }[] =>
  stdout
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
