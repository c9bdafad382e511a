import type { AuditEvent, EventDetails } from '../events.ts';
import type { FaultList } from './fault.ts';
import { type CompactRange, rootOf } from './merkle.ts';
import type { Anchor } from './walk.ts';

/** A new beginning that the log tells of: where, and what it says was lost. */
export type Epoch = Omit<EventDetails['log.epoch_opened'], 'reason'> & {
  readonly seq: number;
  /** By the vault's clock. */
  readonly at: number;
};

/** More than an installation lives to see; later ones explain nothing. */
const MOST = 256;

/**
 * The epochs of a log as its entries tell of them, met in their order. What such an entry admits to have lost is no
 * secret thinning out of the log, so a known head of the lost part is explained by it; it is always told.
 */
export type Epochs = {
  /** `before`: the tree that the entry follows. */
  readonly meet: (seq: number, event: AuditEvent, before: CompactRange, faults: FaultList) => void;
  /** Whether one of them says that this head's last entries were lost. */
  readonly explains: (anchor: Anchor) => boolean;
  readonly told: () => readonly Epoch[];
};

/** `last`: the number of the epoch before. One may be missing: removed with its body, or lost in a second restore. */
const faultOf = (epoch: Epoch, before: CompactRange, last: number): string | null => {
  if (epoch.headSize !== before.size || epoch.headRoot !== rootOf(before).toString('hex'))
    return 'names another head than the one it follows';
  if (epoch.epoch <= last) return `calls itself epoch ${epoch.epoch}, after ${last}`;
  if (
    epoch.lostFrom > epoch.headSize ||
    epoch.lostTo !== epoch.anchoredSize ||
    epoch.lostFrom >= epoch.lostTo
  )
    return 'does not say plainly what was lost';
  return new Set(epoch.approvers).size === 2 ? null : 'is not answered for by two people';
};

export const createEpochs = (): Epochs => {
  const epochs: Epoch[] = [];
  return {
    meet: (seq, event, before, faults) => {
      if (event.action !== 'log.epoch_opened' || event.outcome !== 'success') return;
      const { reason: _, ...detail } = event.detail;
      const epoch = { seq, at: event.at, ...detail };
      const fault = faultOf(epoch, before, epochs.at(-1)?.epoch ?? 1);
      if (fault !== null) faults.add('anchor', seq, `Entry ${seq}, which opens an epoch, ${fault}.`);
      else if (epochs.length < MOST) epochs.push(epoch);
    },
    explains: ({ size, root, epoch: of = 1 }) =>
      epochs.some(
        ({ epoch, lostFrom, lostTo, anchoredRoot }) =>
          of < epoch &&
          size > lostFrom && // Of two lost epochs that came equally far the first is named.
          (size < lostTo || (size === lostTo && (root === anchoredRoot || of > 1))),
      ),
    told: () => epochs,
  };
};

/**
 * Whether a head says nothing about a log as it was in epoch `own`: it is of a later one, and of a size that the restore in
 * between has replaced.
 */
export const isReplaced = (
  { size, epoch: of = 1 }: Anchor,
  own: number,
  told: readonly Pick<Epoch, 'epoch' | 'lostFrom'>[],
): boolean => told.some(({ epoch, lostFrom }) => own < epoch && epoch <= of && size > lostFrom);
