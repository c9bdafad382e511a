import type { LegacyName, ParseLegacyName } from '../../core/legacy-names.ts';
import { mayHoldNumber, nameMayHoldNumber } from '../../core/number-like.ts';
import type { CallFields } from '../call-fields.ts';
import type { OpenFile } from '../file-digest.ts';
import { modifiedMsOf, pathText, startOf } from './call-of.ts';
import { callTold, createCopies, type Difference } from './copies.ts';

/** A copy whose name or side file tells another call than that of an earlier one. */
export type OtherCall = { readonly sha256: string; readonly differs: readonly Difference[] };

export type NameTallyOptions = {
  readonly parse: ParseLegacyName;
  /** Told of every {@link OtherCall}. */
  readonly onOtherCall: (other: OtherCall, relative: Buffer) => void;
};

type Recording = {
  readonly relative: Buffer;
  readonly name: LegacyName;
  /** Counts instead of the name; null: there is none. */
  readonly side: CallFields | null;
  readonly file: OpenFile;
  readonly sha256: string;
  readonly flags: readonly string[];
};

const isNumber = (value: string | null): boolean => value !== null && value.replace(/\D/g, '').length >= 6;

/** What names say, of all that is found; what they and side files say of calls, of recordings. */
export const createNameTally = ({ parse, onOtherCall }: NameTallyOptions) => {
  const copies = createCopies();
  const names = {
    namesWithNumber: 0,
    namesPerhaps: 0,
    namesWithoutTime: 0,
    timesUnknown: 0,
    namesWithDay: 0,
  };
  const same = { duplicates: 0, otherCalls: 0 };

  const countTime = (file: OpenFile, told: Parameters<typeof startOf>[0], now: number): void => {
    const { from } = startOf(told, modifiedMsOf(file), now);
    if (from === 'file' || from === 'arrival') names.namesWithoutTime += 1;
    if (from === 'arrival') names.timesUnknown += 1;
    if (from === 'day_and_file') names.namesWithDay += 1;
  };

  return {
    name(patterns: Record<string, number>, relative: Buffer): LegacyName {
      const path = pathText(relative);
      const name = parse(path);
      patterns[name.pattern] = (patterns[name.pattern] ?? 0) + 1;
      const { callerNumber, calledNumber, personalNumber } = name;
      if ([callerNumber, calledNumber, personalNumber].some(isNumber)) names.namesWithNumber += 1;
      else if (nameMayHoldNumber(path) || mayHoldNumber(path)) names.namesPerhaps += 1;
      return name;
    },
    recording({ relative, name, side, file, sha256, flags }: Recording): void {
      const now = Date.now();
      const told = callTold(name, side, now);
      countTime(file, { startedAt: told.startedAt, precision: told.isDay ? 'day' : 'second' }, now);
      const differs = file.bytes === 0 ? null : copies.meet(sha256, told);
      if (differs === null) return;
      same.duplicates += 1;
      // What has no sound is as many recordings as there are calls told of it (services/other-call.ts).
      if (differs.length === 0 || flags.includes('silent') || flags.includes('empty')) return;
      same.otherCalls += 1;
      onOtherCall({ sha256, differs }, relative);
    },
    counts: () => ({ ...names, ...same }),
  };
};
