import type { Sight } from './open-writers.ts';
import { changedMsOf, type Found } from './scan-folder.ts';
import type { WatchEvent } from './watch-options.ts';

/** How long a file has been the same, in milliseconds of a clock that nobody sets, and in how many looks. */
export type Rest = { readonly ms: number; readonly looks: number };

/** So long a file rests before it is finished, where a writer may be unseen, in milliseconds. */
export const UNSEEN_REST_MS = 120_000;
/**
 * Times as long, an hour that is, rests one with hardly any sound: a call that rings or is on hold writes nothing, and a
 * recorder writes its header, or nothing, before the first sound.
 */
export const SILENT_TIMES = 30;
/** Up to here there is hardly any sound: a second of it, or what telephony systems put before it. */
export const SILENT_BYTES = 16 * 1024;
/** A file system that stood still for a while is not a file that rested. */
const LOOKS = 3;

export type RestOptions = {
  /** {@link UNSEEN_REST_MS}, or what was said instead; 0: two looks are rest enough, whoever may write unseen. */
  readonly unseenRestMs: number;
  readonly onEvent: (event: WatchEvent) => void;
};

/**
 * Whether a file that was the same in two looks is finished. One that is seen to be written is not; where a writer may be
 * unseen, it is when it has rested for much longer, which is said once.
 */
export const createRest = ({ unseenRestMs, onEvent }: RestOptions) => {
  let isSaid = false;
  const limitOf = ({ stat }: Found): number =>
    stat.size < SILENT_BYTES ? unseenRestMs * SILENT_TIMES : unseenRestMs;

  return {
    /**
     * `rest` null: the files' own times count by this machine's clock, for an agent that does not run long enough to see them
     * rest. `unsure`: taken, but somebody may write it.
     */
    async isFinished(found: Found, rest: Rest | null, sight: Sight): Promise<boolean | 'unsure'> {
      if (await sight.isWritten(found)) return false;
      if (!(await sight.mayBeWritten(found))) return true;
      if (unseenRestMs === 0) return 'unsure';
      const limit = limitOf(found);
      const isRested =
        rest === null
          ? Date.now() - changedMsOf(found.stat) >= limit
          : rest.ms >= limit && rest.looks >= LOOKS;
      if (isRested) return 'unsure';
      // One that begins or ends just now cannot be looked into either, and is none by the next look.
      if (isSaid || (rest !== null && rest.looks < LOOKS)) return false;
      onEvent({ event: 'unseen', restMs: unseenRestMs, silentRestMs: unseenRestMs * SILENT_TIMES });
      isSaid = true;
      return false;
    },
  };
};
