import { isAppError } from '../../core/errors.ts';
import type { LegacyPattern } from '../../core/legacy-names.ts';
import { mayHoldNumber } from '../../core/number-like.ts';
import type { CallFields } from '../call-fields.ts';
import { FileChanged, type OpenFile, openFile } from '../file-digest.ts';
import type { SideOptions } from '../side-fields.ts';
import { isSideFile, openSideFile, readSideFile } from '../side-files.ts';
import { nameOf } from './call-of.ts';
import { examine } from './inspect.ts';
import type { ImportFault } from './journal.ts';
import { createNameTally, type NameTallyOptions } from './name-tally.ts';
import { forAll } from './run-import.ts';
import type { Found } from './walk.ts';

/** What lies in a share: counts alone, no name and no number. */
export type Inventory = {
  /** Things found, folders left out. */
  readonly files: number;
  readonly bytes: number;
  /** That an import would hand over. */
  readonly recordings: number;
  readonly recordingBytes: number;
  /** Of those whose length can be told from their headers. */
  readonly hours: number;
  readonly unknownLength: number;
  readonly formats: Readonly<Record<string, number>>;
  readonly patterns: Readonly<Partial<Record<LegacyPattern, number>>>;
  /** Paths in which a caller's, called or identity number was read, and others that may hold one. */
  readonly namesWithNumber: number;
  readonly namesPerhaps: number;
  /** Bytes for bytes what another file is. */
  readonly duplicates: number;
  /** Of those, with a sound: what is told of them is of another call, and an import makes one recording of both. */
  readonly otherCalls: number;
  /** Recordings of whose time neither name nor side file tells anything, so that the time of the file counts. */
  readonly namesWithoutTime: number;
  /** Of those, whose file has no time that can be one: what counts is when the vault gets them. */
  readonly timesUnknown: number;
  /** Whose name tells the day alone. */
  readonly namesWithDay: number;
  readonly empty: number;
  /** That say more of a recording beside them. */
  readonly sideFiles: number;
  /** By what is wrong with them (docs/formats.md); they are kept and flagged. */
  readonly flags: Readonly<Record<string, number>>;
  readonly exceptions: Readonly<Partial<Record<ImportFault, number>>>;
  /** What is wrong with side files, in words that repeat no value; of many different faults the first are told. */
  readonly sideFaults: Readonly<Record<string, number>>;
};

type Counts = Record<string, number>;
const add = (counts: Counts, key: string): void => {
  counts[key] = (counts[key] ?? 0) + 1;
};

/** Silence and one side are matters of the call, not of the file. */
const HARMLESS: ReadonlySet<string> = new Set(['silent', 'one_sided', 'type_mismatch']);

const MAX_FAULTS = 20;
/** Names of columns and elements are in it, and those are other people's. */
const addFault = (counts: Counts, fault: string): void => {
  const isTold = Object.hasOwn(counts, fault) || Object.keys(counts).length < MAX_FAULTS;
  if (isTold && !mayHoldNumber(fault)) add(counts, fault);
};

/** What the side file says, null where there is none; or what is wrong with it. */
const readSideOf = async (path: Buffer, sides: SideOptions): Promise<CallFields | string | null> => {
  let side: Awaited<ReturnType<typeof openSideFile>> = null;
  try {
    side = await openSideFile(path);
    return side === null ? null : await readSideFile(side, sides);
  } catch (error) {
    if (isAppError(error, 'not_acceptable_metadata')) return error.message;
    throw error;
  } finally {
    await side?.file.close();
  }
};

type FoundFile = Found & { readonly kind: 'file' };

export type InventoryOptions = NameTallyOptions & {
  readonly folder: string;
  readonly parallel: number;
  readonly sides: SideOptions;
  /** Told of everything that an import would leave where it is. */
  readonly onException: (outcome: ImportFault, relative: Buffer, reason?: string) => void;
  readonly onProgress: (files: number, bytes: number) => void;
};

const noCounts = (): Record<'formats' | 'patterns' | 'flags' | 'exceptions' | 'sideFaults', Counts> => ({
  formats: {},
  patterns: {},
  flags: {},
  exceptions: {},
  sideFaults: {},
});

const createLook = (options: InventoryOptions, counts: ReturnType<typeof noCounts>) => {
  const { sides, onException } = options;
  const sums = { files: 0, bytes: 0, recordings: 0, recordingBytes: 0, ms: 0, unknownLength: 0 };
  const tally = createNameTally(options);
  const found = { empty: 0, sideFiles: 0 };

  const leave = (outcome: ImportFault, relative: Buffer, reason?: string): void => {
    add(counts.exceptions, outcome);
    onException(outcome, relative, reason);
  };

  const look = async ({ relative, path }: FoundFile, file: OpenFile, cut: AbortSignal): Promise<void> => {
    sums.bytes += file.bytes;
    if (await isSideFile(path)) {
      found.sideFiles += 1;
      return;
    }
    const { kind, sha256, facts } = await examine(file, nameOf(relative), cut);
    const name = tally.name(counts.patterns, relative);
    if (kind !== 'recording') return leave(kind, relative);
    const side = await readSideOf(path, sides);
    if (typeof side === 'string') {
      addFault(counts.sideFaults, side);
      return leave('bad_side_file', relative, side);
    }
    sums.recordings += 1;
    sums.recordingBytes += file.bytes;
    if (file.bytes === 0) found.empty += 1;
    tally.recording({ relative, name, side, file, sha256, flags: facts.flags });
    add(counts.formats, [facts.container ?? 'unknown', facts.codec].filter((word) => word).join(' '));
    if (facts.durationMs === null) sums.unknownLength += 1;
    else sums.ms += facts.durationMs;
    for (const flag of facts.flags) if (!HARMLESS.has(flag)) add(counts.flags, flag);
  };

  return {
    sums,
    leave,
    async file(one: Found, cut: AbortSignal): Promise<void> {
      if (one.kind !== 'file') return leave(one.kind, one.relative);
      const file = await openFile(one.path);
      if (file === null) return leave('special', one.relative);
      try {
        await look(one, file, cut);
      } finally {
        await file.close();
      }
    },
    counts: () => ({ ...tally.counts(), ...found }),
  };
};

/** Reads the whole share and changes nothing; asks no vault. */
export const takeInventory = async (options: InventoryOptions, signal: AbortSignal): Promise<Inventory> => {
  const { folder, parallel, onProgress } = options;
  const counts = noCounts();
  const look = createLook(options, counts);
  await forAll(
    folder,
    parallel,
    async (found, cut) => {
      look.sums.files += 1;
      await look.file(found, cut).catch((error: unknown) => {
        cut.throwIfAborted();
        const code = error instanceof Error && 'code' in error ? String(error.code) : '';
        // What is no fault of the system is one of ours.
        if (!/^E[A-Z]/.test(code)) throw error;
        const fault = code === 'ELOOP' ? 'link' : 'unreadable';
        look.leave(error instanceof FileChanged ? 'changed' : fault, found.relative);
      });
      onProgress(look.sums.files, look.sums.bytes);
    },
    signal,
  );
  const { ms, ...sums } = look.sums;
  return { ...sums, hours: Math.round(ms / 360_000) / 10, ...counts, ...look.counts() };
};
