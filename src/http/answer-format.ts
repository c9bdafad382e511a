import type { FastifyRequest } from 'fastify';
import { CSV_TYPE } from '../core/audit/csv.ts';
import { FHIR_TYPE } from '../core/audit/fhir.ts';
import { AppError } from '../core/errors.ts';

/** Forms in which the log is answered. `json` is a page; the others are files with all there is. */
export const formats = ['json', 'csv', 'ndjson', 'fhir'] as const;
export type Format = (typeof formats)[number];

export const mediaTypes: Record<Format, string> = {
  json: 'application/json',
  csv: CSV_TYPE,
  ndjson: 'application/x-ndjson; charset=utf-8',
  fhir: `${FHIR_TYPE}; charset=utf-8`,
};

const essence = (type: string): string => (type.split(';', 1)[0] ?? '').trim().toLowerCase();

const MAX_ACCEPT = 1_000;
const MAX_RANGES = 30;

type Range = { readonly type: string; readonly quality: number };

const rangeOf = (text: string): Range => {
  const quality = /;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)/i.exec(text)?.[1];
  return { type: essence(text), quality: quality === undefined ? 1 : Math.min(Number(quality), 1) };
};

/** The most specific range that names the type decides (RFC 9110 §12.5.1); 0: not wanted. */
const wanted = (ranges: readonly Range[], type: string): number => {
  const [family] = type.split('/', 1);
  for (const name of [type, `${family}/*`, '*/*']) {
    const range = ranges.find((one) => one.type === name);
    if (range !== undefined) return range.quality;
  }
  return 0;
};

const namesOf: Record<Format, readonly string[]> = {
  json: [essence(mediaTypes.json)],
  csv: [essence(mediaTypes.csv)],
  ndjson: [essence(mediaTypes.ndjson), 'application/ndjson', 'application/jsonl'],
  fhir: [essence(mediaTypes.fhir)],
};

/**
 * The form that an `Accept` header, attacker-controlled, wants most, among those offered; the first offered one where it says
 * nothing or does not care. Null: it wants none of them, or is no list that anybody would send.
 */
export const acceptedFormat = (accept: string | undefined, offered: readonly Format[]): Format | null => {
  if (accept === undefined || accept.trim() === '') return offered[0] ?? null;
  const ranges = accept.length > MAX_ACCEPT ? [] : accept.split(',').slice(0, MAX_RANGES).map(rangeOf);
  let best: { format: Format; quality: number } | null = null;
  for (const format of offered) {
    const quality = Math.max(...namesOf[format].map((name) => wanted(ranges, name)));
    if (quality > (best?.quality ?? 0)) best = { format, quality };
  }
  return best?.format ?? null;
};

const askedFormat = ({ body, query }: FastifyRequest): Format | undefined =>
  [body, query]
    .map((where) => (where as { format?: Format } | null | undefined)?.format)
    .find((format) => format !== undefined);

/** By the field `format`, which the route's schema has checked, or else by `Accept`. Throws `not_acceptable`. */
export const formatOf = (request: FastifyRequest, offered: readonly Format[]): Format => {
  const format = askedFormat(request) ?? acceptedFormat(request.headers.accept, offered);
  if (format !== null && offered.includes(format)) return format;
  const types = offered.map((one) => essence(mediaTypes[one])).join(', ');
  throw new AppError('not_acceptable', `This is given as ${types}.`);
};
