import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileObjectStore } from '../../src/storage/file-object-store.ts';
import type { OpenedStore } from './opened-store.ts';

/** A file store in a folder of its own, which `close` removes. */
export const openFileStore = async (): Promise<OpenedStore & { readonly root: string }> => {
  const folder = await mkdtemp(join(tmpdir(), 'callvault-objects-'));
  const root = join(folder, 'objects');
  const store = await createFileObjectStore({ root, freeBytesFloor: 0 });
  const incoming = join(root, 'incoming');
  return {
    root,
    store,
    leftovers: () => readdir(incoming),
    strand: () => writeFile(join(incoming, `${randomUUID()}.part`), 'half of it'),
    close: async () => {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
