import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const CACHE = join(import.meta.dirname, '../../node_modules/.cache/callvault');
const DAY_MS = 86_400_000;

/** A thousand small files: the system's own copy is several times faster than Node's. Modes and owners are kept. */
export const copyFolder = (from: string, to: string) => promisify(execFile)('cp', ['-a', `${from}/.`, to]);

const ageOf = async (path: string): Promise<number | null> => {
  const found = await stat(path).catch(() => null);
  return found === null ? null : Date.now() - found.mtimeMs;
};

/** Removes what was made of sources that no longer exist; a day old, so that nobody is copying from it. */
const forgetOld = async (keep: string): Promise<void> => {
  for (const name of await readdir(CACHE)) {
    const path = join(CACHE, name);
    if (path !== keep && ((await ageOf(path)) ?? 0) > DAY_MS)
      await rm(path, { recursive: true, force: true });
  }
};

/**
 * A folder that is built once and then copied by every test file that needs it. `name` says what it is and what it was made
 * of, so that other sources make another one.
 */
export const cachedFolder = async (
  name: string,
  build: (draft: string) => Promise<void>,
): Promise<string> => {
  const path = join(CACHE, name);
  if ((await ageOf(path)) !== null) return path;
  await mkdir(CACHE, { recursive: true });
  // Built in a short path, because of the socket, and moved when it is whole: whoever is first wins, the other is thrown away.
  const draft = await mkdtemp(join(tmpdir(), 'cv-'));
  const arriving = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await build(draft);
    await copyFolder(draft, arriving);
    await rename(arriving, path).catch(() => undefined);
  } finally {
    for (const folder of [draft, arriving]) await rm(folder, { recursive: true, force: true });
  }
  await forgetOld(path);
  return path;
};
