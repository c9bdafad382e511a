import { lstat } from 'node:fs/promises';
import { isAppError } from '../../core/errors.ts';
import type { Outcome } from './journal.ts';
import { shownName } from './shown-name.ts';
import type { TakeFile } from './take-file.ts';
import type { Untold } from './untold.ts';
import { createTaker, type Found, walk } from './walk.ts';

/** What an import says while it runs. `name` is for those alone who asked for names. */
export type Exception = {
  readonly file: string;
  readonly outcome: Outcome;
  readonly code?: string;
  readonly reason?: string;
  readonly name: string;
};

export type Progress = {
  readonly files: number;
  readonly bytes: number;
  readonly verified: number;
  /** Verified by an earlier run; nothing of them was read again. */
  readonly before: number;
  readonly beforeBytes: number;
  /** Of the verified, those whose bytes the vault had already. */
  readonly again: number;
  readonly exceptions: number;
  /** Files and bytes of the whole share; null while they are still being counted. */
  readonly total: { readonly files: number; readonly bytes: number } | null;
};

export type RunImport = {
  readonly folder: string;
  readonly parallel: number;
  readonly takeFile: TakeFile;
  readonly untold: Untold;
  readonly onException: (exception: Exception) => void;
  readonly onProgress: (progress: Progress) => void;
};

/** Goes through a share with several hands at once: `act` on everything that is found, each thing released afterwards. */
export const forAll = async (
  folder: string,
  parallel: number,
  act: (found: Found, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> => {
  const taker = createTaker(walk(folder));
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  let failure: unknown = null;
  const work = async (): Promise<void> => {
    while (!either.aborted) {
      const found = await taker.next();
      if (found === null) return;
      try {
        await act(found, either);
      } finally {
        if (found.kind === 'file') await found.release();
      }
    }
  };
  const hands = Array.from({ length: parallel }, () =>
    work().catch((error: unknown) => {
      failure ??= error;
      failed.abort(error);
    }),
  );
  await Promise.all(hands);
  await taker.end();
  signal.throwIfAborted();
  if (failure !== null) throw failure;
};

/** Files of the share and their bytes, links and the like left out; beside the import, for the time that remains. */
export const countShare = async (
  folder: string,
  signal: AbortSignal,
): Promise<{ files: number; bytes: number }> => {
  let [files, bytes] = [0, 0];
  const count = async (found: Found): Promise<void> => {
    files += 1;
    if (found.kind === 'file') bytes += (await lstat(found.path).catch(() => null))?.size ?? 0;
  };
  await forAll(folder, 1, count, signal);
  return { files, bytes };
};

/** Takes everything in the share. Throws when the vault was away for too long, or the journal cannot be written. */
export const runImport = async (
  { folder, parallel, takeFile, untold, onException, onProgress }: RunImport,
  signal: AbortSignal,
): Promise<Progress> => {
  let progress: Progress = {
    files: 0,
    bytes: 0,
    verified: 0,
    before: 0,
    beforeBytes: 0,
    again: 0,
    exceptions: 0,
    total: null,
  };
  const ended = new AbortController();
  const counting = countShare(folder, AbortSignal.any([signal, ended.signal])).then(
    (total) => {
      progress = { ...progress, total };
    },
    (error: unknown) => {
      if (isAppError(error)) return;
      if (!ended.signal.aborted && !signal.aborted) throw error;
    },
  );
  try {
    await forAll(
      folder,
      parallel,
      async (found, cut) => {
        const { entry, bytes, before } = await takeFile(found, cut);
        await untold.note(found, entry);
        const verified = entry.outcome === 'verified';
        const stays = !verified && entry.outcome !== 'side_file';
        progress = {
          ...progress,
          files: progress.files + 1,
          bytes: progress.bytes + bytes,
          verified: progress.verified + (verified ? 1 : 0),
          before: progress.before + (before ? 1 : 0),
          beforeBytes: progress.beforeBytes + (before ? bytes : 0),
          again: progress.again + (verified && entry.created === false ? 1 : 0),
          exceptions: progress.exceptions + (stays ? 1 : 0),
        };
        if (stays) {
          const { file, outcome, code, reason } = entry;
          const name = shownName(found.relative);
          onException({
            ...{ file, outcome, name },
            ...(code === undefined ? {} : { code }),
            ...(reason === undefined ? {} : { reason }),
          });
        }
        onProgress(progress);
      },
      signal,
    );
    const others = await untold.settle();
    progress = {
      ...progress,
      verified: progress.verified - others,
      exceptions: progress.exceptions + others,
    };
  } finally {
    ended.abort();
    await counting;
  }
  return progress;
};
