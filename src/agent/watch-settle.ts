import type { Finding } from './delivery-gate.ts';
import type { HandedOver } from './hand-over.ts';
import type { Found } from './scan-folder.ts';
import type { Ledger } from './watch-ledger.ts';
import type { WatchEvent, WatchOptions } from './watch-options.ts';

/** Codes that say something of one delivery, and nothing of the vault. */
const OF_THE_FILE = new Set(['digest_mismatch', 'length_mismatch', 'client_closed', 'in_progress', 'clock']);

/** What a delivery says of the vault. */
export const findingOf = (result: HandedOver): Finding => {
  if (result.outcome === 'stored' || result.outcome === 'refused') return 'answers';
  if (result.outcome !== 'later') return 'nothing';
  return OF_THE_FILE.has(result.code) ? 'answers' : { retryAfter: result.retryAfter };
};

type Told = Extract<HandedOver, { outcome: 'stored' | 'refused' | 'later' }>;

/** Tells what the vault answered, and counts it. */
export const createTelling =
  (onEvent: (event: WatchEvent) => void, totals: { stored: number; bytes: number; removed: number }) =>
  (result: Told, pauseMs: number, tries: number): void => {
    if (result.outcome === 'stored') {
      totals.stored += 1;
      totals.bytes += result.bytes;
      if (result.removal === 'removed') totals.removed += 1;
      const { outcome: _, ...told } = result;
      onEvent({ event: 'stored', ...told });
      return;
    }
    const { sha256, code, reason } = result;
    if (result.outcome === 'refused') onEvent({ event: 'refused', sha256, code, reason });
    else {
      const vault = findingOf(result) !== 'answers';
      onEvent({ event: 'later', sha256, code, reason, pauseMs, tries, vault });
    }
  };
export type Telling = ReturnType<typeof createTelling>;

/** Writes down what became of a file, and tells it. */
export const createSettling = ({ state, keep, onEvent }: WatchOptions, ledger: Ledger, tell: Telling) => {
  let wroteState = true;
  const wrote = (isWritten: boolean): void => {
    if (!isWritten && wroteState) onEvent({ event: 'trouble', what: 'state', code: 'unwritten' });
    wroteState = isWritten;
  };
  const stored = async (found: Found, result: Extract<HandedOver, { outcome: 'stored' }>): Promise<void> => {
    tell(result, 0, 0);
    if (keep) wrote(await state.stored(found.signature, result.sha256));
    if (result.removal === 'changed') ledger.putOff(found, null);
    else if (result.removal === 'not_now') {
      const code = result.removalCode ?? 'unknown';
      if (ledger.unremovedYet(found)) onEvent({ event: 'trouble', what: 'removal_later', code });
    } else if (result.removal === 'failed') {
      onEvent({ event: 'trouble', what: 'removal', code: 'kept' });
      wrote(await ledger.unremoved(found, result.sha256));
    } else ledger.forget(found);
  };

  return async (found: Found, result: HandedOver, pauseMs: number): Promise<void> => {
    switch (result.outcome) {
      case 'stored':
        return stored(found, result);
      case 'refused': {
        tell(result, 0, 0);
        const { code, sha256 } = result;
        return wrote(await state.refused(found.signature, { code, sha256 }));
      }
      case 'later':
        return tell(result, pauseMs, ledger.putOff(found, result.retryAfter));
      case 'unreadable':
        if (ledger.putOff(found, null) === 1) onEvent({ event: 'trouble', what: 'file', code: result.code });
        return;
      case 'changed':
        ledger.putOff(found, null);
        return;
      case 'no_file':
        return ledger.settle(found);
      case 'gone':
        return;
    }
  };
};
