import { isUuid } from '../core/ids.ts';
import type { ObjectKey } from './object-store.ts';

/** What the keys of objects and of the copies of their envelopes begin with; a store keeps nothing of anybody else's below it. */
export const OBJECT_ROOM = 'recordings';
/** What the keys of wrapped-key bundles begin with. */
export const BUNDLE_ROOM = 'keys-export';
/** Behind the key of an object: the copy of its envelope. The two are neighbours in every listing. */
const ENVELOPE = '.envelope';
/** Behind the key of a part of an upload that is not a recording yet. */
const PART = '.part';
const BUNDLE = '.ndjson';

/**
 * `recordings/<organisation>/<generation>`: the generation is new for every upload attempt, so a key is written once.
 * Random (version 4) generations spread evenly over the folders of the file store.
 */
export const objectKeyOf = (organisation: string, generation: string): ObjectKey => {
  if (!isUuid(organisation) || !isUuid(generation))
    throw new RangeError('an object key is made of two UUIDs');
  return `${OBJECT_ROOM}/${organisation}/${generation}` as ObjectKey;
};

/** `recordings/<organisation>/<generation>.envelope`: the copy of the envelope beside that object. */
export const envelopeKeyOf = (organisation: string, generation: string): ObjectKey =>
  `${objectKeyOf(organisation, generation)}${ENVELOPE}` as ObjectKey;

/** `recordings/<organisation>/<generation>.part`: a part of an upload; the generation is its own. */
export const partKeyOf = (organisation: string, generation: string): ObjectKey =>
  `${objectKeyOf(organisation, generation)}${PART}` as ObjectKey;

export type ObjectKeyParts = {
  readonly organisation: string;
  readonly generation: string;
  readonly kind: 'object' | 'envelope' | 'part';
};

const endings = [
  ['envelope', ENVELOPE],
  ['part', PART],
] as const;

/** What the key of an object, a copy or a part says, or null for any text that is neither: the names a store lists may be anybody's. */
export const objectKeyParts = (text: string): ObjectKeyParts | null => {
  const [room, organisation, name, ...rest] = text.split('/');
  if (room !== OBJECT_ROOM || organisation === undefined || name === undefined || rest.length > 0)
    return null;
  const [kind, ending] = endings.find(([, text]) => name.endsWith(text)) ?? ['object', ''];
  const generation = name.slice(0, name.length - ending.length);
  return isUuid(organisation) && isUuid(generation) ? { organisation, generation, kind } : null;
};

/** `keys-export/<time>-<uuid>.ndjson`, the time in UTC to the millisecond: keys in order are bundles in order. */
export const bundleKeyOf = (at: number, id: string): ObjectKey => {
  if (!isUuid(id)) throw new RangeError('a bundle key is made of a time and a UUID');
  const time = new Date(at).toISOString().replaceAll(/[-:]/g, '');
  return `${BUNDLE_ROOM}/${time}-${id}${BUNDLE}` as ObjectKey;
};

/** `at`: milliseconds since 1970. */
export type BundleKeyParts = { readonly at: number; readonly id: string; readonly name: string };

const BUNDLE_NAME = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z-(.{36})\.ndjson$/;

/** What the key of a bundle says, or null for any text that {@link bundleKeyOf} would not have made. */
export const bundleKeyParts = (text: string): BundleKeyParts | null => {
  const [room, name, ...rest] = text.split('/');
  if (room !== BUNDLE_ROOM || name === undefined || rest.length > 0) return null;
  const [, year, month, day, hour, minute, second, id] = BUNDLE_NAME.exec(name) ?? [];
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (id === undefined || !isUuid(id) || Number.isNaN(at) || bundleKeyOf(at, id) !== text) return null;
  return { at, id, name };
};

/**
 * Checked again at the boundary of every store, because a brand is only the compiler's word: without it a key made by a
 * cast could climb out of the folder. Throws RangeError.
 */
export const assertObjectKey = (key: ObjectKey): ObjectKeyParts => {
  const parts = objectKeyParts(key);
  if (parts === null) throw new RangeError('not an object key');
  return parts;
};

/** As {@link assertObjectKey}, for what a store keeps besides: bundles. */
export const assertStoreKey = (key: ObjectKey): ObjectKeyParts | BundleKeyParts => {
  const parts = bundleKeyParts(key) ?? objectKeyParts(key);
  if (parts === null) throw new RangeError('not an object key');
  return parts;
};
