import { createHash } from 'node:crypto';
import { type LegacyName, nameless, type ParseLegacyName } from '../../core/legacy-names.ts';
import type { CallFields } from '../call-fields.ts';
import type { OpenFile } from '../file-digest.ts';

const DAY_MS = 86_400_000;

/** A path as text. Old shares hold names in latin-1 beside names in UTF-8: what is not the one is read as the other. */
export const pathText = (path: Buffer): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(path);
  } catch {
    return path.toString('latin1');
  }
};

export const nameOf = (relative: Buffer): string =>
  pathText(relative.subarray(relative.lastIndexOf(0x2f) + 1));

/** As it can be sent and shown: what steers terminals and headers is replaced. */
export const plainName = (name: string): string =>
  name
    .replace(/\p{Cc}/gu, '\ufffd')
    .toWellFormed()
    .slice(0, 255)
    .toWellFormed();

/** Whose word the time of a call is; `arrival`: nobody's, so that the vault takes the moment at which it comes. */
export type TimeFrom = 'name' | 'day_and_file' | 'file' | 'arrival';

/** When a call was, if the name does not say: the day of the name and the time of the file, or the latter alone. */
export const startOf = (
  name: Pick<LegacyName, 'startedAt' | 'precision'>,
  modifiedMs: number,
  now: number,
): { readonly at: number | null; readonly from: TimeFrom } => {
  const { startedAt, precision } = name;
  const modified = modifiedMs > 0 && modifiedMs <= now ? modifiedMs : null;
  // Beyond the clock the vault would refuse the call: the name is wrong, or means something else.
  const named = startedAt !== null && startedAt >= 0 && startedAt <= now + DAY_MS ? startedAt : null;
  if (named === null) return { at: modified, from: modified === null ? 'arrival' : 'file' };
  if (precision !== 'day') return { at: named, from: 'name' };
  const sameDay = modified !== null && modified >= named && modified < named + 1.1 * DAY_MS;
  return { at: sameDay ? modified : named, from: 'day_and_file' };
};

export const modifiedMsOf = ({ state }: Pick<OpenFile, 'state'>): number =>
  Number(state.mtimeNs / 1_000_000n);

export type CallOptions = {
  readonly parse: ParseLegacyName;
  /** Have the last word: care unit, retention class and what else holds for the whole share. */
  readonly last: CallFields;
  readonly now: () => number;
};

/**
 * What the vault is told of a file: what its side file says, or where there is none, its name; the name itself, and by what the
 * delivery is known.
 */
export const createCallOf =
  ({ parse, last, now }: CallOptions) =>
  (
    relative: Buffer,
    file: Pick<OpenFile, 'state' | 'bytes'>,
    sha256: string,
    side: CallFields | null = null,
  ): CallFields => {
    const path = pathText(relative);
    const name = (side === null ? parse : nameless)(path);
    const original = plainName(nameOf(relative));
    const { at: startedAt } = startOf(name, modifiedMsOf(file), now());
    const deliveryId =
      file.bytes > 0
        ? `sha256:${sha256}`
        : // Of an empty recording the name is all there is: each has its own.
          `empty:${createHash('sha256').update(original).digest('hex')}`;
    const fields: Record<string, string | null> = {
      callId: name.callId ?? deliveryId,
      startedAt: startedAt === null ? null : new Date(startedAt).toISOString(),
      direction: name.direction,
      callerNumber: name.callerNumber,
      calledNumber: name.calledNumber,
      personalNumber: name.personalNumber,
      agentId: name.agentId,
      queue: name.queue,
      careUnit: name.careUnit,
      originalName: original,
    };
    const given = Object.entries(fields).filter((field): field is [string, string] => field[1] !== null);
    return { ...Object.fromEntries(given), ...side, ...last, deliveryId };
  };

export type CallOf = ReturnType<typeof createCallOf>;
