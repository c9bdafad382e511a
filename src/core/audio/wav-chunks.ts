import { type Parser, peek, skip } from './pull.ts';
import { FMT_BYTES, parseWavFormat } from './wav-format.ts';

/** A chunk of a RIFF file as its header states it; every number is attacker-controlled. */
export type Chunk = { readonly id: string; readonly size: number; readonly bodyAt: number };

/** What writers to a pipe put where they cannot know the length: about 2 GiB (sox), 4 GiB − 1 (ffmpeg). */
export const PLACEHOLDER = 0x7fff_0000;
export const UNKNOWN = 0xffff_ffff;
export const HEAD_BYTES = 8;
const RIFF_BYTES = 12;

export const chunkOf = (head: Buffer, at: number): Chunk => ({
  id: head.toString('latin1', 0, 4),
  size: head.readUInt32LE(4),
  bodyAt: at + HEAD_BYTES,
});

/** Where the file ends by its first line; null where a crashed writer, or one to a pipe, has left nothing to be believed. */
export const statedEnd = (riffSize: number): number | null =>
  riffSize > RIFF_BYTES && riffSize + HEAD_BYTES <= PLACEHOLDER ? riffSize + HEAD_BYTES : null;

const KNOWN = new Set(
  (
    'data|fmt |fact|LIST|ds64|bext|iXML|axml|junk|JUNK|FLLR|PAD |PEAK|cue |plst|labl|smpl|inst|levl|DISP|acid|afsp|cart|' +
    'id3 |ID3 |_PMX|aXML|umid|slnt|wavl|minf|elm1|regn|r64m|chna'
  ).split('|'),
);
const isName = (id: string): boolean => /^[!-~][ -~]{3}$/.test(id);

/** Larger ones of a name that nobody knows are taken for sound that happens to begin with four characters. */
const LARGEST_UNKNOWN = 1024 * 1024;

/** Whether this may be the header of a chunk, in a file that says it ends at `end`. */
export const isChunk = ({ id, size, bodyAt }: Chunk, end: number | null): boolean =>
  isName(id) &&
  (KNOWN.has(id) || (end === null ? size <= LARGEST_UNKNOWN : bodyAt + size <= end + (size % 2)));

/** The pad byte behind a chunk of odd length, if its writer has put one; answers how many bytes there were, and passes over them. */
export function* pad(bytes: number): Parser<number> {
  if (bytes % 2 === 0) return 0;
  const next = yield* peek(5);
  const [here, behind] = [next.toString('latin1', 0, 4), next.toString('latin1', 1, 5)];
  const isMissing = next.length === 5 && next[0] !== 0 && isName(here);
  return isMissing && (KNOWN.has(here) || !isName(behind)) ? 0 : yield* skip(1);
}

const WINDOW_BYTES = 4096;
const LARGEST_FMT = 4096;

export type Search = {
  /** Where the search begins. */
  readonly at: number;
  /** Bytes to search: the rest of a chunk, or all that follows. */
  readonly bytes: number;
  /** Where the file says it ends. */
  readonly end: number | null;
  /** The chunk is known to lie about its length, or there is none: what is found needs less to be believed. */
  readonly lost: boolean;
  readonly hasFormat: boolean;
};

/**
 * Passes over bytes that may hide what the file needs, because a chunk before it states a wrong length: ends before the `fmt `
 * or `data` that they hide, or behind them. Answers how many were passed over. The bytes may be a text that holds these words,
 * so the length behind `data` has to come out where the file ends.
 */
export function* searchChunk(search: Search): Parser<number> {
  let passed = 0;
  while (passed < search.bytes) {
    const window = yield* peek(Math.min(WINDOW_BYTES, search.bytes - passed + HEAD_BYTES + FMT_BYTES));
    const ready = Math.min(window.length, search.bytes - passed);
    const found = foundIn(window, ready, { ...search, at: search.at + passed });
    if (found !== null) return passed + (yield* skip(found));
    if (window.length < WINDOW_BYTES) return passed + (yield* skip(ready));
    // What may be cut in two stays.
    passed += yield* skip(Math.min(ready, window.length - HEAD_BYTES - FMT_BYTES));
  }
  return passed;
}

const DATA = 0x6461_7461;
const FMT = 0x666d_7420;

/**
 * Where in the window a chunk begins that is believed, before `until`; null if nowhere. Byte by byte: whoever writes nothing but
 * these words makes every other search slow.
 */
const foundIn = (window: Buffer, until: number, search: Search): number | null => {
  const last = Math.min(until - 1, window.length - HEAD_BYTES);
  for (let at = 0; at <= last; at += 1) {
    const first = window[at];
    if (first !== 0x64 && first !== 0x66) continue;
    const id = window.readUInt32BE(at);
    if (id === DATA && isDataHere(window.readUInt32LE(at + 4), search.at + at + HEAD_BYTES, search))
      return at;
    if (id === FMT && !search.hasFormat && isFormatHere(window.readUInt32LE(at + 4), window, at)) return at;
  }
  return null;
};

const isFormatHere = (size: number, window: Buffer, at: number): boolean =>
  size <= LARGEST_FMT &&
  parseWavFormat(window.subarray(at + HEAD_BYTES, at + HEAD_BYTES + Math.min(size, FMT_BYTES)))?.codec !=
    null;

const isDataHere = (size: number, bodyAt: number, { end, lost }: Search): boolean => {
  if (end === null) return lost && (size === 0 || size >= PLACEHOLDER);
  const dataEnd = bodyAt + size;
  if (size === 0) return false;
  return dataEnd === end || dataEnd + (size % 2) === end || (lost && dataEnd < end);
};
