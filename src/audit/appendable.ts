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

  const deny = (): void => {
    refused = true;
    refusals += 1;
    deniedAt = now();
    knownAt = Number.NEGATIVE_INFINITY;
  };

  const cannot = (cause?: unknown): AppError =>
    logUnavailable('The access log cannot be written now.', cause);

  const probe = async (): Promise<void> => {
    const [before, asked] = [refusals, now()];
    const can = await (refused ? tryAppend() : mayAppend()).catch((error: unknown) => {
      deny();
      throw cannot(error);
    });
    if (!can) deny();
    if (refusals !== before) throw cannot();
    refused = false;
    knownAt = asked;
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
