import { readdir, readFile, readlink } from 'node:fs/promises';

/** O_WRONLY and O_RDWR, the lowest bits of the octal flags. */
const WRITES = /^flags:\s*[0-7]*[12]$/m;

const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

const writtenBy = async (pid: string, below: string): Promise<string[]> => {
  const paths: string[] = [];
  for (const fd of await namesIn(`/proc/${pid}/fd`)) {
    const path = await readlink(`/proc/${pid}/fd/${fd}`, 'latin1').catch(() => '');
    if (!path.startsWith(below)) continue;
    const flags = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => '');
    if (WRITES.test(flags)) paths.push(path);
  }
  return paths;
};

/**
 * Files below a folder (absolute, without links) that some process on this machine holds open for writing, as keys of
 * {@link Found}: a recording that is paused does not grow, and what is written after its removal would be lost. Only
 * processes of the same user are seen, and nobody on the other end of a share; elsewhere than on Linux, none.
 */
export const openForWriting = async (root: Buffer): Promise<ReadonlySet<string>> => {
  const below = `${root.toString('latin1')}/`;
  const found = new Set<string>();
  for (const pid of await namesIn('/proc'))
    if (/^\d+$/.test(pid)) for (const path of await writtenBy(pid, below)) found.add(path);
  return found;
};
