import type { AuditLogger } from './audit-logger.ts';
import type { AuditHead } from './reader.ts';

export type HeadReport = {
  /** A newer head; reported within the interval, the newest of those that came meanwhile. */
  readonly note: (head: () => AuditHead) => void;
  /** Reports what is noted and not yet reported. */
  readonly flush: () => void;
};

/**
 * Writes the heads this process has verified to its own log, which usually leaves the machine: whoever rewrites the
 * database afterwards, consistently and down to the last root, does not know which heads were written down elsewhere.
 */
export const createHeadReport = (log: Pick<AuditLogger, 'info'>, intervalMs: number): HeadReport => {
  let newest: (() => AuditHead) | null = null;
  let timer: NodeJS.Timeout | null = null;

  const flush = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (newest !== null) log.info(newest(), 'Head of the access log');
    newest = null;
  };

  return {
    note: (head) => {
      newest = head;
      timer ??= setTimeout(flush, intervalMs).unref();
    },
    flush,
  };
};
