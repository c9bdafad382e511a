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
  /** Of every call: care unit, retention class and what else holds for the whole share. */
  readonly said: CallFields;
  readonly now: () => number;
};

type Given = Readonly<Record<string, string | null | undefined>>;
const present = (given: Given): CallFields =>
  Object.fromEntries(
    Object.entries(given).filter((field): field is [string, string] => typeof field[1] === 'string'),
  );

const isoOf = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

/**
 * What the vault is told of a file, and by what the delivery is known. From the most to the least reliable: its side file; where
 * there is none, what a pattern of the operator's reads from its path; what is said of every call; where there is no side file,
 * what its name tells by somebody's habit; and of what nobody tells, digest and time of the file. So no word about all calls is
 * set over one about this call: who may hear it depends on its care unit.
 */
export const createCallOf =
  ({ parse, said, now }: CallOptions) =>
  (
    relative: Buffer,
    file: Pick<OpenFile, 'state' | 'bytes'>,
    sha256: string,
    side: CallFields | null = null,
  ): CallFields => {
    const name = (side === null ? parse : nameless)(pathText(relative));
    const original = plainName(nameOf(relative));
    const { at, from } = startOf(name, modifiedMsOf(file), now());
    const isTold = from === 'name' || from === 'day_and_file';
    const deliveryId =
      file.bytes > 0
        ? `sha256:${sha256}`
        : // Of an empty recording the name is all there is: each has its own.
          `empty:${createHash('sha256').update(original).digest('hex')}`;
    const told = present({
      callId: name.callId,
      startedAt: isTold ? isoOf(at) : null,
      direction: name.direction,
      callerNumber: name.callerNumber,
      calledNumber: name.calledNumber,
      personalNumber: name.personalNumber,
      agentId: name.agentId,
      queue: name.queue,
      careUnit: name.careUnit,
    });
    const [asked, guessed] = name.pattern === 'custom' ? [told, {}] : [{}, told];
    return {
      ...present({ callId: deliveryId, startedAt: isoOf(at), originalName: original }),
      ...guessed,
      ...said,
      ...asked,
      ...side,
      deliveryId,
    };
  };

export type CallOf = ReturnType<typeof createCallOf>;
