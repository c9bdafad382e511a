import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type KeptFile, type KeptNotes, readKeptNotes } from '../core/audit/kept-notes.ts';
import { MAX_NOTE_BYTES } from '../core/audit/note.ts';
import type { Trust } from '../core/audit/trust.ts';
import { AppError } from '../core/errors.ts';
import { unreadable } from './unreadable.ts';

/** One byte more than any note has, so that a longer one is not read as a shorter one. */
const MAX_BYTES = MAX_NOTE_BYTES + 1;

const readKept = async (folder: string, name: string): Promise<KeptFile> => {
  await using file = await open(join(folder, name));
  const { mtimeMs } = await file.stat();
  const bytes = Buffer.alloc(MAX_BYTES);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, MAX_BYTES - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return { name, text: bytes.toString('utf8', 0, length), writtenAt: mtimeMs };
};

/** Files of a folder and those below it; hidden ones are somebody's drafts. */
const namesIn = async (folder: string): Promise<readonly string[]> => {
  if (!(await stat(folder)).isDirectory()) throw new AppError('config_invalid', `${folder} is no folder.`);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.replace(/\/+$/, '').length + 1))
    .filter((name) => !name.split('/').some((part) => part.startsWith('.')))
    .sort();
};

/**
 * Checkpoints kept in a folder: heads that the log must contain, and what is wrong with the files themselves. Rejects with
 * `config_invalid` for what is no folder, or cannot be read.
 */
export const keptNotesIn = async (folder: string, trust: Trust): Promise<KeptNotes> => {
  const files: KeptFile[] = [];
  try {
    for (const name of await namesIn(folder)) files.push(await readKept(folder, name));
  } catch (error) {
    throw unreadable(folder, error);
  }
  return readKeptNotes(files, trust);
};
