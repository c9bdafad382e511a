import type { AuditEventOf } from '../core/events.ts';
import { logHalted } from './append-failure.ts';
import type { AuditReader } from './reader.ts';

/** An entry that opens an epoch, and where it lies. */
export type EpochEntry = { readonly seq: number; readonly event: AuditEventOf<'log.epoch_opened'> };

/** More than an installation lives to see, and one page of the reader. */
const MOST = 200;

/**
 * The epochs that the log tells of, in order; their numbers rise, and two is the lowest there can be. Rejects with `log_halted` when they do not
 * follow each other, for then nobody can say which one this is.
 */
export const readEpochs = async (log: Pick<AuditReader, 'search'>): Promise<readonly EpochEntry[]> => {
  const { entries } = await log.search({
    audience: { scope: 'installation' },
    action: 'log.epoch_opened',
    outcome: 'success',
    limit: MOST,
  });
  const found = entries
    .flatMap(({ seq, event }) => (event.action === 'log.epoch_opened' ? [{ seq, event }] : []))
    .toSorted((a, b) => a.seq - b.seq);
  // The first may have been removed with its body, and one may have been lost in a second restore.
  if (found.some(({ event }, i) => event.detail.epoch <= (found[i - 1]?.event.detail.epoch ?? 1)))
    throw logHalted('The entries that open epochs of the access log do not follow each other.');
  return found;
};
