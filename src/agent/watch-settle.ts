import type { Finding } from './delivery-gate.ts';
import type { HandedOver } from './hand-over.ts';
import type { Found } from './scan-folder.ts';
import type { Ledger } from './watch-ledger.ts';
import type { WatchOptions } from './watch-options.ts';

/** Codes that say something of one delivery, and nothing of the vault. */
const OF_THE_FILE = new Set(['digest_mismatch', 'length_mismatch', 'client_closed', 'in_progress', 'clock']);

/** What a delivery says of the vault. */
export const findingOf = (result: HandedOver): Finding => {
  if (result.outcome === 'stored' || result.outcome === 'refused') return 'answers';
  if (result.outcome !== 'later') return 'nothing';
  return OF_THE_FILE.has(result.code) ? 'answers' : { retryAfter: result.retryAfter };
};

/** Writes down what became of a file, and tells it. */
export const createSettling = (
  { state, keep, onEvent }: WatchOptions,
  ledger: Ledger,
  totals: { stored: number; bytes: number; removed: number },
) => {
  let wroteState = true;
  const wrote = (isWritten: boolean): void => {
    if (!isWritten && wroteState) onEvent({ event: 'trouble', what: 'state', code: 'unwritten' });
    wroteState = isWritten;
  };
  const stored = async (found: Found, result: Extract<HandedOver, { outcome: 'stored' }>): Promise<void> => {
    totals.stored += 1;
    totals.bytes += result.bytes;
    if (result.removal === 'removed') totals.removed += 1;
    const { outcome: _, ...told } = result;
    onEvent({ event: 'stored', ...told });
    if (keep) wrote(await state.stored(found.signature, result.sha256));
    if (result.removal === 'changed') ledger.putOff(found, null);
    else if (result.removal === 'failed') {
      ledger.settle(found);
      onEvent({ event: 'trouble', what: 'removal', code: 'kept' });
    } else ledger.forget(found);
  };

  return async (found: Found, result: HandedOver, pauseMs: number): Promise<void> => {
    switch (result.outcome) {
      case 'stored':
        return stored(found, result);
      case 'refused': {
        const { sha256, code, reason } = result;
        onEvent({ event: 'refused', sha256, code, reason });
        return wrote(await state.refused(found.signature, { code, sha256 }));
      }
      case 'later': {
        const { sha256, code, reason, retryAfter } = result;
        ledger.putOff(found, retryAfter);
        return onEvent({
          event: 'later',
          sha256,
          code,
          reason,
          pauseMs,
          vault: findingOf(result) !== 'answers',
        });
      }
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
