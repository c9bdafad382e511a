import type { AppError } from '../core/errors.ts';
import { logUnavailable } from './append-failure.ts';

/** For this long a committed append, or a probe, stands for the next one. */
const BELIEVED_MS = 5_000;
/** After a refusal the log is asked again no sooner than this, however many want to know. */
const RETRY_MS = 1_000;

export type AppendableDeps = {
  /** Why nothing can be appended as this process is connected now; null when something could. */
  readonly obstacle: () => Promise<AppError | null>;
  /** Whether this role may append; a look at the rights alone. */
  readonly mayAppend: () => Promise<boolean>;
  /** Whether an entry could be written: an append that undoes itself. */
  readonly tryAppend: () => Promise<boolean>;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
};

/** A question to the database, when it was asked, and how many refusals there were by then. */
type Asked = { readonly at: number; readonly before: number; readonly can: Promise<boolean> };

/**
 * Whether the log takes entries, for those whose entry is in it already: what was permitted goes on only while the next
 * permission could be written down. A committed append says yes for five seconds, a refused one says no until an append
 * or a trial succeeds; in between, one probe answers for everybody.
 */
export const createAppendable = ({ obstacle, mayAppend, tryAppend, now }: AppendableDeps) => {
  let knownAt = Number.NEGATIVE_INFINITY;
  let deniedAt = Number.NEGATIVE_INFINITY;
  /** Counts refusals, so that a probe that was under way when one came proves nothing. */
  let refusals = 0;
  let refused = false;
  let probing: Promise<void> | null = null;
  let trial: Asked | null = null;
  /** When the trial was begun that was the last to be taken; no refusal came since. */
  let takenAt = Number.NEGATIVE_INFINITY;

  const deny = (): void => {
    refused = true;
    refusals += 1;
    deniedAt = now();
    knownAt = Number.NEGATIVE_INFINITY;
    takenAt = Number.NEGATIVE_INFINITY;
  };

  /** One at a time: who asks while one is under way gets its answer. */
  const tryOnce = (): Asked => {
    trial ??= {
      at: now(),
      before: refusals,
      can: tryAppend().finally(() => {
        trial = null;
      }),
    };
    return trial;
  };

  const cannot = (cause?: unknown): AppError =>
    logUnavailable('The access log cannot be written now.', cause);

  const probe = async (): Promise<void> => {
    const asked = refused ? tryOnce() : { at: now(), before: refusals, can: mayAppend() };
    const can = await asked.can.catch((error: unknown) => {
      deny();
      throw cannot(error);
    });
    if (!can) deny();
    if (refusals !== asked.before) throw cannot();
    refused = false;
    knownAt = asked.at;
  };

  const refusesAll = async (): Promise<boolean> => {
    if (refused && now() - deniedAt < RETRY_MS) return true;
    if (now() - takenAt < RETRY_MS) return false;
    const asked = tryOnce();
    // Without an answer nobody knows that the event was at fault.
    const can = await asked.can.catch(() => false);
    if (can) takenAt = refusals === asked.before ? asked.at : takenAt;
    else deny();
    return !can;
  };

  return {
    /** An append was committed and checked. */
    committed: (): void => {
      refused = false;
      knownAt = now();
    },
    /** The database refused an append, or went away. */
    refused: deny,
    /**
     * The database refused a single event for what is in it: whether it would refuse any, by a trial that is believed for a
     * second. If so, the log is shut as after `refused`. Never rejects.
     */
    refusesAll,
    /**
     * Resolves while entries can be written, to the best of what was known `believedMs` ago. Rejects with
     * `log_unavailable` or `log_halted`.
     */
    assert: async (believedMs = BELIEVED_MS): Promise<void> => {
      const away = await obstacle();
      if (away !== null) throw away;
      if (now() - knownAt < believedMs) return;
      if (now() - deniedAt < RETRY_MS) throw cannot();
      probing ??= probe().finally(() => {
        probing = null;
      });
      await probing;
    },
  };
};

export type Appendable = ReturnType<typeof createAppendable>;
