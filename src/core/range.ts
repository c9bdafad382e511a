/**
 * Range requests over a representation of known length (RFC 9110 §13.1.5, §14, §15.3.7, §15.5.17).
 * Both headers are attacker-controlled: they are cut at {@link MAX_HEADER_CHARS} and read by one linear pass.
 */
export type RangeAnswer =
  /** 200 with the whole representation. */
  | { readonly kind: 'full' }
  /** 206 with bytes [start, end). */
  | { readonly kind: 'partial'; readonly start: number; readonly end: number; readonly contentRange: string }
  /** 416. */
  | { readonly kind: 'unsatisfiable'; readonly contentRange: string };

export type RangeRequest = { readonly range?: string | undefined; readonly ifRange?: string | undefined };

export type Representation = {
  readonly totalBytes: number;
  /** Strong entity tag as sent, with its quotes. */
  readonly etag: string;
  /** Only when `Last-Modified` is sent; to the second. */
  readonly lastModified?: Date;
};

/** The widest part answered at once: after each the listener's permission is asked for again. */
export const MAX_PIECE_BYTES = 524_288;

const MAX_HEADER_CHARS = 256;
const FULL: RangeAnswer = { kind: 'full' };

/**
 * What to answer. Promises 0 ≤ start < end ≤ totalBytes and end − start ≤ maxBytes for every `partial`; never throws.
 *
 * - A part wider than `maxBytes` is shortened at its end; a 206 says itself what it holds (§15.3.7), and players ask on.
 * - Another unit, a malformed set, a header of unreasonable length, several ranges, or a failed `If-Range` are answered
 *   as if no Range had been asked for, which §14.2 always permits. No player asks for several ranges of audio.
 */
export const parseRange = (
  request: RangeRequest,
  representation: Representation,
  maxBytes: number = MAX_PIECE_BYTES,
): RangeAnswer => {
  const { range, ifRange } = request;
  if (range === undefined || range.length > MAX_HEADER_CHARS) return FULL;
  if (ifRange !== undefined && !isCurrent(ifRange, representation)) return FULL;
  const spec = singleRange(range);
  if (spec === null) return FULL;
  return 'suffix' in spec
    ? answerSuffix(spec.suffix, representation.totalBytes, maxBytes)
    : answerFrom(spec.first, spec.last, representation.totalBytes, maxBytes);
};

export type Conditions = { readonly ifMatch?: string | undefined; readonly ifNoneMatch?: string | undefined };

/**
 * `failed` (412): `If-Match` names other representations than this one. `unchanged` (304): `If-None-Match` names this one.
 * In this order (§13.2.2), both for GET and HEAD; never throws.
 */
export const checkConditions = (
  { ifMatch, ifNoneMatch }: Conditions,
  etag: string,
): 'failed' | 'unchanged' | 'proceed' => {
  if (ifMatch !== undefined && !names(ifMatch, etag, false)) return 'failed';
  return ifNoneMatch !== undefined && names(ifNoneMatch, etag, true) ? 'unchanged' : 'proceed';
};

/** A list of entity tags, or `*`: strong comparison for If-Match, weak for If-None-Match (§8.8.3.2). Attacker-controlled. */
const names = (header: string, etag: string, weak: boolean): boolean =>
  header
    .split(',')
    .map((tag) => tag.trim())
    .some((tag) => tag === '*' || tag === etag || (weak && tag === `W/${etag}`));

type RangeSpec = { readonly first: number; readonly last: number } | { readonly suffix: number };

/** The one range of a well-formed `bytes` set, or null. Digits beyond 2^53 become inexact or Infinity: past any end. */
const singleRange = (header: string): RangeSpec | null => {
  const equals = header.indexOf('=');
  if (header.slice(0, Math.max(equals, 0)).trim().toLowerCase() !== 'bytes') return null;
  // Recipients accept empty list elements (§5.6.1.2).
  const set = header
    .slice(equals + 1)
    .split(',')
    .map((element) => element.trim())
    .filter((element) => element !== '');
  const match = set.length === 1 ? /^(\d*)-(\d*)$/.exec(set[0]!) : null;
  if (match === null) return null;
  const [, first, last] = match as unknown as [string, string, string];
  if (first === '') return last === '' ? null : { suffix: Number(last) };
  const spec = { first: Number(first), last: last === '' ? Number.POSITIVE_INFINITY : Number(last) };
  return spec.last < spec.first ? null : spec;
};

const answerFrom = (first: number, last: number, totalBytes: number, maxBytes: number): RangeAnswer => {
  if (first >= totalBytes) return unsatisfiable(totalBytes);
  return partial(first, Math.min(last + 1, totalBytes, first + maxBytes), totalBytes);
};

const answerSuffix = (suffix: number, totalBytes: number, maxBytes: number): RangeAnswer => {
  if (suffix === 0) return unsatisfiable(totalBytes);
  // Satisfiable by §14.1.2, yet no Content-Range can describe a part of nothing.
  if (totalBytes === 0) return FULL;
  const start = Math.max(0, totalBytes - suffix);
  return partial(start, Math.min(totalBytes, start + maxBytes), totalBytes);
};

const partial = (start: number, end: number, totalBytes: number): RangeAnswer => ({
  kind: 'partial',
  start,
  end,
  contentRange: `bytes ${start}-${end - 1}/${totalBytes}`,
});

const unsatisfiable = (totalBytes: number): RangeAnswer => ({
  kind: 'unsatisfiable',
  contentRange: `bytes */${totalBytes}`,
});

/**
 * Strong comparison (§13.1.5): the very tag, or the very date that was sent as `Last-Modified`. A weak tag, another date
 * format and anything unreadable count as changed, which costs one whole answer and never mixes two representations.
 */
const isCurrent = (ifRange: string, { etag, lastModified }: Representation): boolean =>
  ifRange === etag
    ? !etag.startsWith('W/')
    : lastModified !== undefined && ifRange === lastModified.toUTCString();
