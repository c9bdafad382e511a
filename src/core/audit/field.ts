import { isUuid } from '../ids.ts';

/**
 * What one field of an entry may hold. A field takes any value and returns the value that is committed, or throws
 * {@link FieldFault}. Ids, enumerations and numbers are refused when they are not what they should be, since a mended id
 * would be another id; free text is mended and cut, since a hostile string must not be able to keep an access out of the
 * log. Applying a field twice changes nothing, which is how a decoder recognises a canonical body.
 */
export type Field<T> = (value: unknown, where: string) => T;

/** Names the field and what was expected; never the value. */
export class FieldFault extends Error {
  constructor(where: string, expected: string) {
    super(`${where} is not ${expected}`);
    this.name = 'FieldFault';
  }
}

// Control characters, line and paragraph separators, and the marks that reorder what a reader sees.
const UNREADABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const REPLACEMENT = '\ufffd';
const CUT = '…';

const cut = (value: string, max: number): string => {
  if (value.length <= max) return value;
  // toWellFormed would turn half a pair into a replacement character; half a pair is dropped instead.
  return value.slice(0, max - CUT.length).replace(/[\ud800-\udbff]$/, '') + CUT;
};

const matching =
  (pattern: RegExp, expected: string): Field<string> =>
  (value, where) => {
    if (typeof value !== 'string' || !pattern.test(value)) throw new FieldFault(where, expected);
    return value;
  };

/** Free text of at most `max` UTF-16 units: well formed, readable on one line, the rest replaced by "…". */
export const text =
  (max: number): Field<string> =>
  (value, where) => {
    if (typeof value !== 'string') throw new FieldFault(where, 'text');
    // Cut before mending as well as after: the work is bounded by `max`, not by what an attacker sends.
    return cut(
      value
        .slice(0, max + 1)
        .toWellFormed()
        .replace(UNREADABLE, REPLACEMENT),
      max,
    );
  };

export const uuid: Field<string> = (value, where) => {
  if (typeof value !== 'string' || !isUuid(value)) throw new FieldFault(where, 'a lower-case UUID');
  return value;
};

/** An identifier that is not a UUID: a blind index, an operator. */
export const label = matching(/^[\x21-\x7e]{1,128}$/, 'a label of 1 to 128 visible ASCII characters');
export const sha256Hex = matching(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex');

export const count: Field<number> = (value, where) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new FieldFault(where, 'a whole number from 0');
  return value + 0; // -0 becomes 0, as JSON writes it
};

export const quantity: Field<number> = (value, where) => {
  if (typeof value !== 'number' || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER))
    throw new FieldFault(where, 'a number from 0');
  return value + 0;
};

export const flag: Field<boolean> = (value, where) => {
  if (typeof value !== 'boolean') throw new FieldFault(where, 'true or false');
  return value;
};

export const oneOf =
  <const T extends string | true>(...values: readonly T[]): Field<T> =>
  (value, where) => {
    const found = values.find((known) => known === value);
    if (found === undefined) throw new FieldFault(where, `one of ${values.join(', ')}`);
    return found;
  };

export const nullable =
  <T>(field: Field<T>): Field<T | null> =>
  (value, where) =>
    value === null ? null : field(value, where);

/** At most `max` items; a longer list is refused, because an entry that leaves items out would not cover them. */
export const list =
  <T>(field: Field<T>, max: number): Field<readonly T[]> =>
  (value, where) => {
    if (!Array.isArray(value) || value.length > max) throw new FieldFault(where, `a list of at most ${max}`);
    return value.map((item, i) => field(item, `${where}[${i}]`));
  };

export const pair =
  <T>(field: Field<T>): Field<readonly [T, T]> =>
  (value, where) => {
    if (!Array.isArray(value) || value.length !== 2) throw new FieldFault(where, 'a pair');
    return [field(value[0], `${where}[0]`), field(value[1], `${where}[1]`)];
  };

export type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };

/** Exactly these fields in this order; whatever else the value carries does not get into the log. */
export const record = <T extends object>(fields: Fields<T>): Field<T> => {
  const entries = Object.entries(fields) as [string, Field<unknown>][];
  return (value, where) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new FieldFault(where, 'a record');
    const copy: Record<string, unknown> = {};
    for (const [name, field] of entries)
      copy[name] = field((value as Record<string, unknown>)[name], `${where}.${name}`);
    return copy as T;
  };
};
