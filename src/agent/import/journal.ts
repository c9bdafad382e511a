import { createHmac, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError } from '../../core/errors.ts';
import type { FileState } from '../file-digest.ts';
import type { SideKind } from '../side-fields.ts';
import { type JournalLock, lockJournal } from './journal-lock.ts';
import { createSeenTable } from './seen-table.ts';

/**
 * Everything that is not `verified`, `wiped` or `side_file`: the file stays, and the report names it. `name_not_told`: the bytes
 * are in the vault and were read back, but as another call than the name of the file tells. `cut_off`: it was begun to be sent, and
 * the import ended before it knew the answer.
 */
export const importFaults = [
  'link',
  'special',
  'too_deep',
  'folder_unreadable',
  'unreadable',
  'growing',
  'changed',
  'not_recording',
  'program_or_archive',
  'refused',
  'undelivered',
  'damaged_in_vault',
  'not_in_vault',
  'bad_side_file',
  'name_not_told',
  'cut_off',
] as const;
export type ImportFault = (typeof importFaults)[number];
/**
 * Why a verified file was not removed when all were to be. It stays verified, and but for `gone`, which lay there no more though
 * nobody removed it here, it goes another time. `side_file_not_told`, `name_not_told`: the vault had these bytes already, and nobody
 * knows whether with what this side file, or name, says.
 */
export type KeptReason =
  | 'growing'
  | 'vault_away'
  | 'not_removed'
  | 'side_file_not_told'
  | 'name_not_told'
  | 'gone';
/**
 * `side_file`: it says what a recording beside it is, and goes with that. `settled`: it stayed once, lies there no more, and
 * somebody has said that this is as it should be.
 */
export type Outcome = 'verified' | 'wiped' | 'side_file' | 'settled' | ImportFault;

/** One line of the journal: what became of one file. The last line of a file counts. Holds no name. */
export type JournalEntry = {
  /** HMAC of the path under the journal's key, hex. */
  readonly file: string;
  readonly outcome: Outcome;
  /** A closed word: a code of the vault or of the system. */
  readonly code?: string;
  /** The same in words, which repeat no value and hold no number. */
  readonly reason?: string;
  /** Which file it was, in which state. */
  readonly ino?: string;
  readonly mtimeNs?: string;
  readonly bytes?: number;
  readonly sha256?: string;
  readonly recording?: string;
  /** False: the vault had these bytes already, from another name, another agent or a run that was cut off. */
  readonly created?: boolean;
  /** Of one that was not created: an earlier try of this file was cut off, and probably created it. */
  readonly resent?: boolean;
  /** Of a verified file: what kept it from being removed, when that was last tried. */
  readonly kept?: KeptReason;
  /** The side file whose facts went along: which file it was, in which state. */
  readonly side?: {
    readonly kind: SideKind;
    readonly ino: string;
    readonly mtimeNs: string;
    readonly bytes: number;
  };
};

type Header = {
  readonly journal: 'callvault import';
  readonly version: 1;
  readonly key: string;
  readonly folder: string;
  readonly vault: string;
};

const hmac = (key: Buffer, ...parts: readonly (string | Buffer)[]): string => {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac.digest('hex').slice(0, 32);
};

export type About = {
  readonly folder: string;
  /** Its address; null: it is not asked for anything. */
  readonly vault: string | null;
};

const invalid = (sentence: string): AppError => new AppError('config_invalid', sentence);

const GOES_ON = 'Nothing is lost: the same command goes on where this ended.';

const MAX_LINE = 4096;

/** Complete lines with their offsets; a line that was cut by a crash has no end and is not among them. */
async function* linesOf(handle: FileHandle): AsyncGenerator<{ line: string; at: number; end: number }> {
  const buffer = Buffer.alloc(256 * 1024);
  let rest: Buffer = Buffer.alloc(0);
  let base = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, base + rest.length);
    if (bytesRead === 0) return;
    const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    let from = 0;
    for (let to = bytes.indexOf(10); to >= 0; to = bytes.indexOf(10, from)) {
      yield { line: bytes.toString('utf8', from, to), at: base + from, end: base + to + 1 };
      from = to + 1;
    }
    rest = Buffer.from(bytes.subarray(from));
    base += from;
    if (rest.length > MAX_LINE) throw invalid('This is no journal of an import.');
  }
}

const parse = <T>(line: string): T | null => {
  try {
    return JSON.parse(line) as T;
  } catch {
    return null;
  }
};

const openOwnerOnly = async (path: string, mayBeNew: boolean): Promise<FileHandle> => {
  const made = mayBeNew ? constants.O_CREAT : 0;
  const flags = constants.O_RDWR | made | constants.O_APPEND | constants.O_NOFOLLOW;
  const handle = await open(path, flags, 0o600).catch((error: NodeJS.ErrnoException) => {
    throw invalid(`The journal cannot be written (${error.code ?? 'unknown'}).`);
  });
  const stat = await handle.stat();
  if (stat.isFile() && (stat.mode & 0o077) === 0 && stat.uid === process.geteuid?.()) return handle;
  await handle.close();
  throw invalid('The journal is open to others, or belongs to another user: chmod 600.');
};

const syncFolderOf = async (path: string): Promise<void> => {
  const folder = await open(dirname(path), constants.O_RDONLY);
  await folder.sync().finally(() => folder.close());
};

/** Bound to one folder and one vault: what one vault has must not let files go that another never got. */
const readHeader = async (
  handle: FileHandle,
  path: string,
  about: About,
): Promise<{ key: Buffer; end: number }> => {
  const folder = await realpath(about.folder, { encoding: 'buffer' }).catch(
    (error: NodeJS.ErrnoException) => {
      throw invalid(`The folder cannot be read (${error.code ?? 'unknown'}).`);
    },
  );
  const bound = (key: Buffer) => ({
    folder: hmac(key, 'folder\0', folder),
    vault: hmac(key, 'vault\0', about.vault ?? ''),
  });
  for await (const { line, end } of linesOf(handle)) {
    const header = parse<Partial<Header>>(line);
    if (
      header?.journal !== 'callvault import' ||
      header.version !== 1 ||
      !/^[0-9a-f]{64}$/.test(header.key ?? '')
    )
      throw invalid('This is no journal of an import.');
    const key = Buffer.from(header.key as string, 'hex');
    const { folder: own, vault } = bound(key);
    if (header.folder !== own)
      throw invalid('This journal is of another folder: name another with --journal.');
    if (about.vault !== null && header.vault !== vault)
      throw invalid('This journal is of another vault: name another with --journal.');
    return { key, end };
  }
  if (about.vault === null || (await handle.stat()).size > 0)
    throw invalid('This is no journal of an import.');
  const key = randomBytes(32);
  const header: Header = { journal: 'callvault import', version: 1, key: key.toString('hex'), ...bound(key) };
  const line = `${JSON.stringify(header)}\n`;
  await handle.write(line);
  await handle.sync();
  await syncFolderOf(path);
  return { key, end: Buffer.byteLength(line) };
};

const unwritable = (error: unknown): unknown => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^E[A-Z0-9]{1,20}$/.test(code)
    ? new AppError(
        'storage_unavailable',
        `The journal cannot be written (${code}): see the disk that it lies on. ${GOES_ON}`,
      )
    : error;
};

/** Writes what came meanwhile in one piece and flushes it once: the disk, not the number of files, sets the pace. */
const createAppender = (handle: FileHandle, from: number) => {
  let end = from;
  let waiting: { line: Buffer; resolve: (at: number) => void; reject: (error: unknown) => void }[] = [];
  let running = false;
  const write = async (bytes: Buffer): Promise<void> => {
    // Also where the last piece was cut: nobody knows how much of it is there, and what follows would stand at other places.
    if ((await handle.stat()).size !== end)
      throw new AppError(
        'config_invalid',
        `Somebody else writes the journal, perhaps an import on another machine: let one at a time work with it. ${GOES_ON}`,
      );
    await handle.appendFile(bytes);
    await handle.datasync();
  };
  const run = async (): Promise<void> => {
    running = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await write(Buffer.concat(batch.map(({ line }) => line)));
        for (const { line, resolve } of batch) {
          resolve(end);
          end += line.length;
        }
      } catch (error) {
        for (const { reject } of [...batch, ...waiting]) reject(unwritable(error));
        waiting = [];
      }
    }
    running = false;
  };
  return (line: Buffer): Promise<number> =>
    new Promise((resolve, reject) => {
      waiting.push({ line, resolve, reject });
      if (!running) void run();
    });
};

/**
 * What is known of the files of one share. Append-only, flushed before anything counts, readable by its owner alone; a line that
 * a crash cut is left out, and its file is taken once more. Memory: at most some 70 bytes per file. Throws `config_invalid` for
 * what is no journal, is of another folder or vault, or is another import's at this moment.
 */
export const openJournal = async (path: string, about: About) => {
  const handle = await openOwnerOnly(path, about.vault !== null);
  let lock: JournalLock | null = null;
  try {
    lock = await lockJournal(await handle.stat({ bigint: true }));
    return await journalOn(handle, lock, path, about);
  } catch (error) {
    await lock?.release();
    await handle.close();
    throw unwritable(error);
  }
};

const journalOn = async (handle: FileHandle, lock: JournalLock, path: string, about: About) => {
  const { key, end } = await readHeader(handle, path, about);
  const table = createSeenTable();
  let whole = end;
  for await (const { line, at, end: next } of linesOf(handle)) {
    whole = next;
    const entry = at < end ? null : parse<JournalEntry>(line);
    if (entry !== null && /^[0-9a-f]{32}$/.test(entry.file ?? '')) table.set(entry.file, at);
  }
  let size = (await handle.stat()).size;
  if (size > whole) {
    // Ends the line that a crash cut, so that it stays one.
    await handle.appendFile('\n');
    size += 1;
  }
  const append = createAppender(handle, size);
  const buffer = () => Buffer.alloc(MAX_LINE);
  let metBefore = 0;

  const entryAt = async (at: number): Promise<JournalEntry | null> => {
    const bytes = buffer();
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, at);
    const line = bytes.subarray(0, bytesRead).indexOf(10);
    return line < 0 ? null : parse<JournalEntry>(bytes.toString('utf8', 0, line));
  };

  return {
    /** Under which the journal and the report know a file. */
    idOf: (relative: Buffer): string => hmac(key, 'path\0', relative),
    /**
     * What became of it, as far as it is known; marks it as met in this run, or as met again when files are removed. `look`
     * marks nothing.
     */
    async find(file: string, pass: 'import' | 'wipe' | 'look' = 'import'): Promise<JournalEntry | null> {
      const at = table.get(file);
      if (at === null) return null;
      if (pass === 'wipe') table.mark(file, 2);
      else if (pass === 'import' && !table.mark(file)) metBefore += 1;
      const entry = await entryAt(at);
      return entry?.file === file ? entry : null;
    },
    /** Resolves when the line has reached the disk. */
    async append(entry: JournalEntry): Promise<void> {
      const at = await append(Buffer.from(`${JSON.stringify(entry)}\n`));
      table.set(entry.file, at);
      table.mark(entry.file);
    },
    /** The last word on every file; `met`: in this run; `metAgain`: when files were removed. */
    async *entries(): AsyncGenerator<{ entry: JournalEntry; met: boolean; metAgain: boolean }> {
      for await (const { line, at } of linesOf(handle)) {
        const entry = at < end ? null : parse<JournalEntry>(line);
        if (entry !== null && /^[0-9a-f]{32}$/.test(entry.file ?? '') && table.get(entry.file) === at)
          yield { entry, met: table.isMarked(entry.file), metAgain: table.isMarked(entry.file, 2) };
      }
    },
    files: table.size,
    /** How many of the files that it knew when it was opened were met since. */
    metBefore: (): number => metBefore,
    async close(): Promise<void> {
      await handle.close();
      await lock.release();
    },
  };
};

export type Journal = Awaited<ReturnType<typeof openJournal>>;

/** Which file, in which state, as a line has it. Device and change time are other ones after every mount of a share. */
export const stateOf = ({ ino, mtimeNs, size }: FileState) => ({
  ino: String(ino),
  mtimeNs: String(mtimeNs),
  bytes: Number(size),
});
export const isSameFile = (
  entry: Pick<JournalEntry, 'ino' | 'mtimeNs' | 'bytes'>,
  state: FileState,
): boolean => {
  const { ino, mtimeNs, bytes } = stateOf(state);
  return entry.ino === ino && entry.mtimeNs === mtimeNs && entry.bytes === bytes;
};
