import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { openJournal } from '../../src/agent/import/journal.ts';
import { walk } from '../../src/agent/import/walk.ts';

export const NO_VAULT = 'http://127.0.0.1:1';

/** For each test of a file a share, and a home beside it that holds journals of its import. */
export const hasShare = () => {
  let home: string;
  let share: string;
  const closing: (() => unknown)[] = [];
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'cvi-'));
    share = join(home, 'share');
    await mkdir(share);
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    await rm(home, { recursive: true });
  });

  return {
    get home() {
      return home;
    },
    get share() {
      return share;
    },
    /** Does this when the test has ended, before the folders go. */
    afterwards: (close: () => unknown): void => {
      closing.push(close);
    },
    journalAt: async (name = 'journal') => {
      const journal = await openJournal(join(home, name), { vault: NO_VAULT, folder: share });
      closing.push(journal.close);
      return journal;
    },
    /** Kinds and names of what lies there. */
    listed: async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const one of walk(share)) {
        found.push(`${one.kind} ${one.relative.toString('latin1')}`);
        if (one.kind === 'file') await one.release();
      }
      return found.toSorted();
    },
  };
};

export type Share = ReturnType<typeof hasShare>;
