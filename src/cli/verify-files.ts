import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { parseOrigin } from '../core/audit/checkpoint.ts';
import { isReplaced } from '../core/audit/epochs.ts';
import {
  createShowing,
  disagreement,
  isToldOf,
  largerTellings,
  type ShownFile,
  type Telling,
} from '../core/audit/export-agreement.ts';
import { MAX_LINE_BYTES, parseHeader } from '../core/audit/export-format.ts';
import { headsOf } from '../core/audit/export-heads.ts';
import {
  createExportVerifier,
  type ExportExpectations,
  type ExportVerdict,
} from '../core/audit/export-verify.ts';
import type { Anchor } from '../core/audit/verify.ts';
import { unreadable } from './unreadable.ts';

/** Read at a time. */
const PIECE_BYTES = 256 * 1024;
const STDIN = '-';

/** The verdict over bytes from anywhere, in constant memory. */
export const verifyBytes = async (
  pieces: AsyncIterable<Buffer>,
  expected: ExportExpectations,
): Promise<ExportVerdict> => {
  const verifier = createExportVerifier(expected);
  for await (const piece of pieces) verifier.push(piece);
  return verifier.finish();
};

type Header = ReturnType<typeof parseHeader>;

const headerOf = async (path: string): Promise<Header> => {
  try {
    return await readHeader(path);
  } catch (error) {
    throw unreadable(path, error);
  }
};

const readHeader = async (path: string): Promise<Header> => {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_LINE_BYTES), 0, MAX_LINE_BYTES, 0);
  const end = buffer.subarray(0, bytesRead).indexOf('\n');
  return end === -1 ? null : parseHeader(buffer.toString('utf8', 0, end));
};

/** Heads that the other files say this log had: two exports of one log must not contradict each other. */
const headsInOthers = async (files: readonly string[]): Promise<(file: string) => readonly Anchor[]> => {
  const headers = new Map<string, Header>();
  for (const file of files) if (file !== STDIN && files.length > 1) headers.set(file, await headerOf(file));
  return (file) => {
    const origin = headers.get(file)?.origin ?? null;
    if (origin === null) return [];
    return [...headers].flatMap(([name, header]) =>
      name === file || header?.origin !== origin ? [] : headsOf(header, `in ${name}`),
    );
  };
};

const piecesOf = async function* (file: string): AsyncGenerator<Buffer> {
  try {
    yield* file === STDIN ? process.stdin : createReadStream(file, { highWaterMark: PIECE_BYTES });
  } catch (error) {
    throw unreadable(file, error);
  }
};

/**
 * `toldOf`: another of the files has the entry that says how much this one was given. `larger`: they have entries of other
 * exports of the same run, with more bodies.
 */
export type FileVerdict = ExportVerdict & {
  readonly file: string;
  readonly toldOf: boolean;
  readonly larger: readonly Telling[];
};

const against = (one: ShownFile, all: readonly ShownFile[]): FileVerdict => {
  const { file, verdict } = one;
  const more = disagreement(one, all);
  return {
    file,
    ...verdict,
    ok: verdict.ok && more.length === 0,
    faultCount: verdict.faultCount + more.length,
    faults: [...verdict.faults, ...more],
    toldOf: isToldOf(one, all),
    larger: largerTellings(one, all),
  };
};

type Known = readonly Anchor[];

const look = async (file: string, expected: ExportExpectations, known: Known): Promise<ShownFile> => {
  const showing = createShowing();
  const given = { ...expected, anchors: known, onEntry: showing.meet };
  return { file, verdict: await verifyBytes(piecesOf(file), given), showing };
};

/** An export of before a restore does not have what was written after it: that is known once another file tells of the epoch. */
const lookAgain = async (
  one: ShownFile,
  all: readonly ShownFile[],
  expected: ExportExpectations,
  known: Known,
): Promise<ShownFile> => {
  const { file, verdict } = one;
  if (verdict.ok || verdict.origin === null || file === STDIN) return one;
  const { log, epoch } = parseOrigin(verdict.origin);
  const told = all.flatMap(({ verdict: { ok, origin, epochs } }) =>
    ok && origin !== null && parseOrigin(origin).log === log ? epochs : [],
  );
  const left = known.filter((anchor) => !isReplaced(anchor, epoch, told));
  if (left.length === known.length) return one;
  const again = await look(file, expected, left);
  const uncompared = again.verdict.uncompared + known.length - left.length;
  return { ...again, verdict: { ...again.verdict, uncompared } };
};

/** One after the other, each against what is expected and against the others. Rejects with `config_invalid` for one that cannot be read. */
export const verifyFiles = async (
  files: readonly string[],
  expected: ExportExpectations,
): Promise<readonly FileVerdict[]> => {
  const others = await headsInOthers([...new Set(files)]);
  const knownTo = (file: string): Known => [...(expected.anchors ?? []), ...others(file)];
  const first: ShownFile[] = [];
  for (const file of new Set(files)) first.push(await look(file, expected, knownTo(file)));
  const shown: ShownFile[] = [];
  for (const one of first) shown.push(await lookAgain(one, first, expected, knownTo(one.file)));
  return shown.map((one) => against(one, shown));
};
