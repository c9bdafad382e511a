import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../core/errors.ts';

/** Process id in a cluster's `postmaster.pid`, and whether that server accepts connections; null without such a file. */
export const readPostmasterFile = async (
  clusterDir: string,
): Promise<{ readonly pid: number; readonly ready: boolean } | null> => {
  const text = await readFile(join(clusterDir, 'postmaster.pid'), 'utf8').catch(() => null);
  if (text === null) return null;
  const lines = text.split('\n');
  return { pid: Number.parseInt(lines[0] ?? '', 10), ready: lines[7]?.trim() === 'ready' };
};

/**
 * Every server process of this cluster. A postmaster and all its children stand in the data folder, which a recycled
 * process id does not; and an administrator's shell that stands there is not a `postgres`.
 */
export const serverProcesses = async (clusterDir: string): Promise<readonly number[]> => {
  const names = await readdir('/proc').catch(() => []);
  const found: number[] = [];
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    const cwd = await readlink(`/proc/${name}/cwd`).catch(() => '');
    if (cwd !== clusterDir) continue;
    const program = await readlink(`/proc/${name}/exe`).catch(() => '');
    if (basename(program.replace(/ \(deleted\)$/, '')) === 'postgres') found.push(Number(name));
  }
  return found;
};

const signal = (pids: readonly number[], name: NodeJS.Signals): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // it ended by itself in the meantime
    }
  }
};

/**
 * Orderly, then at once with recovery at the next start, then by force. Milliseconds to wait after each; not long for the
 * first, because PostgreSQL 18 never ends by it when it comes during the recovery from a crash, and nothing is lost by the
 * second.
 */
const STEPS = [
  { name: 'SIGINT', wait: 4_000, all: false },
  { name: 'SIGQUIT', wait: 5_000, all: false },
  { name: 'SIGKILL', wait: 5_000, all: true },
] as const;

/**
 * Ends whatever server an earlier vault left on this cluster, and removes its pid and socket files, so that neither a
 * killed parent nor a recycled process id keeps the next server from starting. The caller holds the data folder's lock:
 * no living vault uses this cluster. `clusterDir` is absolute and free of symbolic links.
 * Throws `database_unavailable` when one cannot be ended.
 */
export const endLeftovers = async (clusterDir: string, socketDir: string): Promise<void> => {
  let left = await serverProcesses(clusterDir);
  for (const step of STEPS) {
    if (left.length === 0) break;
    const postmaster = (await readPostmasterFile(clusterDir))?.pid;
    signal(step.all ? left : left.filter((pid) => pid === postmaster), step.name);
    for (const until = Date.now() + step.wait; left.length > 0 && Date.now() < until; await sleep(25))
      left = await serverProcesses(clusterDir);
  }
  if (left.length > 0)
    throw new AppError(
      'database_unavailable',
      `An earlier PostgreSQL server still runs on this data folder and does not end (process ${left.join(', ')}): end it, then start again.`,
    );
  // Only where /proc could tell that nobody is there; elsewhere PostgreSQL's own check decides.
  if (process.platform === 'linux')
    for (const file of [
      join(clusterDir, 'postmaster.pid'),
      join(socketDir, '.s.PGSQL.5432'),
      join(socketDir, '.s.PGSQL.5432.lock'),
    ])
      await rm(file, { force: true });
};
