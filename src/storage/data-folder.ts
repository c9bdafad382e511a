import { mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../core/errors.ts';
import { type FolderLock, isLocked, takeLock } from './folder-lock.ts';
import { syncFolder } from './secret-file.ts';

/** What the process that holds a data folder tells those who come later. */
export type Instance = {
  readonly pid: number;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** A vault that serves is joined by commands; a command is waited for. */
  readonly command: 'serve' | 'command';
  /** Where it answers, when it serves. */
  readonly url: string | null;
  /** Folder of the embedded database's socket, when that runs. */
  readonly socketDir: string | null;
  /** Socket on which it says how it is, when it serves. */
  readonly doctor: string | null;
};

/** Held by this process until close() or death; close() lets the next one in, and may be called twice. */
export type DataFolder = {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** A folder in it, made owner-only when it is not there. Throws `config_invalid` when it is open to others. */
  subfolder(name: string): Promise<string>;
  /** Tells who is here, once what others may use is open. Replaces an earlier announcement. */
  announce(instance: Instance): Promise<void>;
  close(): Promise<void>;
};

const LOCK = 'instance.lock';
const ANNOUNCEMENT = 'instance.json';

const wider = (path: string, mode: number): AppError =>
  new AppError(
    'config_invalid',
    `${path} is open to other users of this machine (mode ${(mode & 0o777).toString(8)}): see who has been in it, then run chmod 700 on it.`,
  );

/**
 * Root lets the account that runs its PostgreSQL pass through, without listing or writing, where namespaces are not to be
 * had (postgres-cluster.ts). Nobody else is let in.
 */
const allowed = (mode: number): boolean =>
  (mode & 0o077) === 0 || (process.getuid?.() === 0 && (mode & 0o077) === 0o010);

/** Why a folder could not be made: something else lies there or on the way to it, or the folder around it is closed. */
const unmakeable = async (path: string): Promise<string> => {
  for (let place = resolve(path); place !== dirname(place); place = dirname(place)) {
    const found = await stat(place).catch(() => null);
    if (found !== null && !found.isDirectory())
      return place === resolve(path) ? 'is not a folder' : `cannot be made, for ${place} is not a folder`;
  }
  return 'cannot be made: see who may write to the folder around it';
};

const assertOwn = async (path: string): Promise<void> => {
  const found = await stat(path);
  if (!found.isDirectory()) throw new AppError('config_invalid', `${path} is not a folder.`);
  const uid = process.getuid?.() ?? found.uid;
  if (found.uid !== uid)
    throw new AppError(
      'config_invalid',
      `${path} belongs to another user (${found.uid}, this is ${uid}): start Callvault as that user, or give it the folder with chown -R.`,
    );
  if (!allowed(found.mode)) throw wider(path, found.mode);
};

/** Makes an owner-only folder, or checks that the one that is there is. Returns its real path. */
const ownFolder = async (path: string): Promise<string> => {
  try {
    const made = await mkdir(path, { recursive: true, mode: 0o700 });
    if (made !== undefined) await syncFolder(join(path, '..'));
  } catch (cause) {
    throw new AppError('config_invalid', `${path} ${await unmakeable(path)}.`, { cause });
  }
  await assertOwn(path);
  return realpath(path);
};

const readAnnouncement = async (path: string): Promise<Instance | null> => {
  try {
    const read = JSON.parse(await readFile(join(path, ANNOUNCEMENT), 'utf8')) as Instance;
    return Number.isInteger(read.pid) ? read : null;
  } catch {
    return null;
  }
};

const occupied = (path: string, other: Instance | null): AppError => {
  const what = other?.command === 'command' ? 'a command' : (other?.url ?? 'not ready yet');
  const who = other === null ? 'just starting' : `process ${other.pid}, ${what}, since ${other.startedAt}`;
  return new AppError(
    'instance_running',
    `Another Callvault (${who}) works on ${path}: stop it first, or give this one a DATA_DIR of its own.`,
  );
};

const isMissing = (path: string): Promise<boolean> =>
  stat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );

/** Commands are short; a vault that is starting has its database open by then. */
const PATIENCE_MS = 15_000;

/**
 * Makes or checks the data folder (owner-only) and takes it for this process: of any number of attempts at once, one gets
 * it. Waits for a command to end, and for whoever has not said yet what it is; throws `instance_running`, naming the
 * other process, for a vault that serves.
 * Throws `config_invalid` for a folder that is open to others.
 */
export const openDataFolder = async (wanted: string): Promise<DataFolder> => {
  const path = await ownFolder(wanted);
  const announcement = join(path, ANNOUNCEMENT);
  const takeIt = async (): Promise<FolderLock> => {
    for (const until = Date.now() + PATIENCE_MS; ; await sleep(50)) {
      const taken = takeLock(join(path, LOCK));
      if (taken !== null) return taken;
      const other = await readAnnouncement(path);
      // Nothing is announced for a moment after the lock was taken and before it is released, be it by a command or a vault.
      if (other?.command === 'serve' || Date.now() > until) throw occupied(path, other);
    }
  };
  const lock = await takeIt();
  let closed = false;
  // Of an earlier holder, who was killed.
  await rm(announcement, { force: true });
  return {
    path,
    subfolder: (name) => ownFolder(join(path, name)),
    async announce(instance) {
      await writeFile(`${announcement}.new`, `${JSON.stringify(instance)}\n`, { mode: 0o600 });
      await rename(`${announcement}.new`, announcement);
    },
    async close() {
      // A second call must not take away what the next holder has announced.
      if (closed) return;
      closed = true;
      await rm(announcement, { force: true });
      lock.release();
    },
  };
};

/** Throws `config_invalid` for a folder that {@link openDataFolder} would refuse; one that is not there is none. Makes nothing. */
export const assertOwnDataFolder = async (path: string): Promise<void> => {
  if (await isMissing(path)) return;
  await assertOwn(path);
};

/** Whether somebody works on this data folder now, or a look cannot tell. */
export const isDataFolderTaken = (path: string): boolean => {
  try {
    return isLocked(join(path, LOCK));
  } catch {
    return true;
  }
};

/** The vault that serves on this data folder at this moment; null when there is none, or it has not announced itself yet. */
export const runningInstance = async (path: string): Promise<Instance | null> => {
  const found = isLocked(join(path, LOCK)) ? await readAnnouncement(path) : null;
  return found?.command === 'serve' && found.url !== null ? found : null;
};

/**
 * The vault that serves on this data folder, or null when nobody works on it (then {@link openDataFolder} succeeds, unless
 * somebody is quicker). Waits for a vault that is just starting and for other commands; throws `instance_running` when
 * that takes too long.
 */
export const findInstance = async (path: string): Promise<Instance | null> => {
  for (const until = Date.now() + PATIENCE_MS; ; await sleep(50)) {
    if (!isLocked(join(path, LOCK))) return null;
    const other = await readAnnouncement(path);
    if (other?.command === 'serve') return other;
    if (Date.now() > until) throw occupied(path, other);
  }
};
