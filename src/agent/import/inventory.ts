import { isAppError } from '../../core/errors.ts';
import type { LegacyPattern, ParseLegacyName } from '../../core/legacy-names.ts';
import { mayHoldNumber, nameMayHoldNumber } from '../../core/number-like.ts';
import { FileChanged, openFile } from '../file-digest.ts';
import type { SideOptions } from '../side-fields.ts';
import { isSideFile, openSideFile, readSideFile } from '../side-files.ts';
import { nameOf, pathText } from './call-of.ts';
import { examine } from './inspect.ts';
import type { ImportFault } from './journal.ts';
import { forAll } from './run-import.ts';
import { createSeenTable } from './seen-table.ts';
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
  /** Paths in which a caller's or called number was read, and others that may hold one. */
  readonly namesWithNumber: number;
  readonly namesPerhaps: number;
  /** Bytes for bytes what another file is. */
  readonly duplicates: number;
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

const isNumber = (value: string | null): boolean => value !== null && value.replace(/\D/g, '').length >= 6;

/** What is wrong with the side file; null: nothing. */
const sideFaultOf = async (path: Buffer, sides: SideOptions): Promise<string | null> => {
  let side: Awaited<ReturnType<typeof openSideFile>> = null;
  try {
    side = await openSideFile(path);
    if (side !== null) await readSideFile(side, sides);
    return null;
  } catch (error) {
    if (isAppError(error, 'not_acceptable_metadata')) return error.message;
    throw error;
  } finally {
    await side?.file.close();
  }
};

export type InventoryOptions = {
  readonly folder: string;
  readonly parallel: number;
  readonly parse: ParseLegacyName;
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

/** Reads the whole share and changes nothing; asks no vault. */
export const takeInventory = async (options: InventoryOptions, signal: AbortSignal): Promise<Inventory> => {
  const { folder, parallel, parse, sides, onException, onProgress } = options;
  const digests = createSeenTable();
  const counts = noCounts();
  const sums = { files: 0, bytes: 0, recordings: 0, recordingBytes: 0, ms: 0, unknownLength: 0 };
  const names = { namesWithNumber: 0, namesPerhaps: 0 };
  let [duplicates, empty, sideFiles] = [0, 0, 0];

  const leave = (outcome: ImportFault, relative: Buffer, reason?: string): void => {
    add(counts.exceptions, outcome);
    onException(outcome, relative, reason);
  };

  const readName = (relative: Buffer): void => {
    const path = pathText(relative);
    const name = parse(path);
    add(counts.patterns, name.pattern);
    if (isNumber(name.callerNumber) || isNumber(name.calledNumber)) names.namesWithNumber += 1;
    else if (nameMayHoldNumber(path) || mayHoldNumber(path)) names.namesPerhaps += 1;
  };

  const look = async (found: Found, cut: AbortSignal): Promise<void> => {
    if (found.kind !== 'file') return leave(found.kind, found.relative);
    const file = await openFile(found.path);
    if (file === null) return leave('special', found.relative);
    try {
      sums.bytes += file.bytes;
      if (await isSideFile(found.path)) {
        sideFiles += 1;
        return;
      }
      const { kind, sha256, facts } = await examine(file, nameOf(found.relative), cut);
      readName(found.relative);
      if (kind !== 'recording') return leave(kind, found.relative);
      const fault = await sideFaultOf(found.path, sides);
      if (fault !== null) {
        addFault(counts.sideFaults, fault);
        return leave('bad_side_file', found.relative, fault);
      }
      sums.recordings += 1;
      sums.recordingBytes += file.bytes;
      if (file.bytes === 0) empty += 1;
      else if (digests.get(sha256) !== null) duplicates += 1;
      else digests.set(sha256, 0);
      add(counts.formats, [facts.container ?? 'unknown', facts.codec].filter((word) => word).join(' '));
      if (facts.durationMs === null) sums.unknownLength += 1;
      else sums.ms += facts.durationMs;
      for (const flag of facts.flags) if (!HARMLESS.has(flag)) add(counts.flags, flag);
    } finally {
      await file.close();
    }
  };

  await forAll(
    folder,
    parallel,
    async (found, cut) => {
      sums.files += 1;
      await look(found, cut).catch((error: unknown) => {
        cut.throwIfAborted();
        const code = error instanceof Error && 'code' in error ? String(error.code) : '';
        // What is no fault of the system is one of ours.
        if (!/^E[A-Z]/.test(code)) throw error;
        leave(
          error instanceof FileChanged ? 'changed' : code === 'ELOOP' ? 'link' : 'unreadable',
          found.relative,
        );
      });
      onProgress(sums.files, sums.bytes);
    },
    signal,
  );
  const { ms, ...rest } = sums;
  return { ...rest, hours: Math.round(ms / 360_000) / 10, ...counts, ...names, duplicates, empty, sideFiles };
};
