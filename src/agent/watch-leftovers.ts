import type { BigIntStats } from 'node:fs';
import { lstat, opendir, unlink } from 'node:fs/promises';
import { lookAround, type Sight } from './open-writers.ts';
import { pause } from './pause.ts';
import { changedMsOf } from './scan-folder.ts';
import type { WatchOptions } from './watch-options.ts';
import { nameIt, namesOf, readDraftName } from './watch-put-back.ts';

export type LeftoverOptions = Pick<
  WatchOptions,
  'root' | 'recursive' | 'proc' | 'unseenRestMs' | 'onEvent'
> & {
  /** So long a draft is the same before it is a dead agent's, also where everybody who may write it is seen, in milliseconds. */
  readonly settleMs?: number;
};

const SETTLE_MS = 5_000;
const MAX_LOOK_MS = 1_000;
/** Names of drafts that are remembered at most: anybody may write such names. */
const MAX_DRAFTS = 10_000;
const SLASH = Buffer.from('/');
const DOT = 0x2e;

type Draft = {
  readonly folder: Buffer;
  readonly path: Buffer;
  readonly isWhole: boolean;
  /** What it becomes. */
  readonly name: Buffer;
  signature: string;
  since: number;
};

const statOf = (path: Buffer): Promise<BigIntStats | null> => lstat(path, { bigint: true }).catch(() => null);
const signatureOf = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [ino, size, mtimeNs, ctimeNs].join(' ');

async function* draftsIn(folder: Buffer, recursive: boolean): AsyncGenerator<Draft> {
  // Types of Node know names as text only.
  const entries = await opendir(folder, { encoding: 'buffer' as BufferEncoding });
  for await (const entry of entries) {
    const name = entry.name as unknown as Buffer;
    const path = Buffer.concat([folder, SLASH, name]);
    const draft = name[0] === DOT ? readDraftName(name) : null;
    if (draft !== null) yield { folder, path, ...draft, signature: '', since: 0 };
    if (!recursive || name[0] === DOT || (await statOf(path))?.isDirectory() !== true) continue;
    try {
      yield* draftsIn(path, recursive);
    } catch {
      // Counted as unreadable by the looks at the folder.
    }
  }
}

const findDrafts = async ({ root, recursive }: LeftoverOptions): Promise<Set<Draft>> => {
  const drafts = new Set<Draft>();
  try {
    for await (const draft of draftsIn(root, recursive)) {
      drafts.add(draft);
      if (drafts.size === MAX_DRAFTS) break;
    }
  } catch {
    // The folder cannot be read, which the looks at it say.
  }
  return drafts;
};

/** Killed after it was named and before the draft was removed. */
const hasName = async (names: readonly Buffer[], { ino, dev, nlink }: BigIntStats): Promise<boolean> => {
  if (nlink < 2n) return false;
  const stats = await Promise.all(names.map(statOf));
  return stats.some((stat) => stat !== null && stat.ino === ino && stat.dev === dev);
};

/** What became of it; null: nothing that anybody needs to know. */
const finish = async ({ folder, path, isWhole, name }: Draft, stat: BigIntStats, isSeen: boolean) => {
  const names = namesOf(Buffer.concat([folder, SLASH, name]));
  const holdsNothing = stat.size === 0n && !isWhole;
  // Somebody unseen might be about to write the first byte.
  if (holdsNothing && !isSeen) return 'draft_left';
  if (!holdsNothing && !(await hasName(names, stat))) {
    await nameIt(path, names);
    await unlink(path).catch(() => undefined);
    return isWhole ? 'put_back' : 'put_back_part';
  }
  await unlink(path);
  return null;
};

type Verdict = { readonly stat: BigIntStats; readonly isSeen: boolean };

/** `null`: it is still somebody's, or may be. */
const judge = async (
  draft: Draft,
  stat: BigIntStats,
  sight: Sight,
  { unseenRestMs, settleMs = SETTLE_MS }: LeftoverOptions,
  once: boolean,
): Promise<Verdict | null> => {
  const now = performance.now();
  const signature = signatureOf(stat);
  if (signature !== draft.signature) [draft.signature, draft.since] = [signature, now];
  const found = { path: draft.path, stat };
  if (await sight.isWritten(found)) return null;
  const isSeen = !(await sight.mayBeWritten(found));
  const restMs = isSeen ? settleMs : Math.max(settleMs, unseenRestMs);
  const rested = once ? Date.now() - changedMsOf(stat) : now - draft.since;
  return rested >= restMs ? { stat, isSeen } : null;
};

/**
 * Finishes what an agent that was killed had begun: a recording that was written to after its removal, and that it was about
 * to put back. The draft of it is the only copy of those bytes, so it becomes the file that it was to become, as far as it
 * had come, and over no other; removed is only a draft that has its name already, or holds nothing. Whose writer may still be
 * at work is left until it has rested: another agent may put back files in the same folder. `once`: looks once, and lets the
 * files' own times count. Never rejects.
 */
export const finishPutBacks = async (
  options: LeftoverOptions,
  stop: AbortSignal,
  once = false,
): Promise<void> => {
  const drafts = await findDrafts(options);
  const look = async (draft: Draft, sight: Sight): Promise<void> => {
    const stat = await statOf(draft.path);
    if (stat === null || !stat.isFile()) {
      drafts.delete(draft);
      return;
    }
    const verdict = await judge(draft, stat, sight, options, once);
    if (verdict === null) return;
    drafts.delete(draft);
    const code = await finish(draft, verdict.stat, verdict.isSeen).catch(() => 'draft_left');
    if (code !== null) options.onEvent({ event: 'trouble', what: 'unlinked', code });
  };
  while (drafts.size > 0 && !stop.aborted) {
    const sight = await lookAround(options.proc);
    for (const draft of drafts) await look(draft, sight).catch(() => undefined);
    if (once) return;
    await pause(Math.min(MAX_LOOK_MS, options.settleMs ?? SETTLE_MS), stop);
  }
};
