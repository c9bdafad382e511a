import { isUuid } from '../core/ids.ts';
import type { ObjectKey } from './object-store.ts';

/** What every key begins with; a store keeps nothing of anybody else's below it. */
export const OBJECT_ROOM = 'recordings';

/**
 * `recordings/<organisation>/<generation>`: the generation is new for every upload attempt, so a key is written once.
 * Random (version 4) generations spread evenly over the folders of the file store.
 */
export const objectKeyOf = (organisation: string, generation: string): ObjectKey => {
  if (!isUuid(organisation) || !isUuid(generation))
    throw new RangeError('an object key is made of two UUIDs');
  return `${OBJECT_ROOM}/${organisation}/${generation}` as ObjectKey;
};

export type ObjectKeyParts = { readonly organisation: string; readonly generation: string };

/** The two UUIDs of a key, or null for any text that is not one: the names a store lists may be anybody's. */
export const objectKeyParts = (text: string): ObjectKeyParts | null => {
  const [room, organisation, generation, ...rest] = text.split('/');
  if (room !== OBJECT_ROOM || organisation === undefined || generation === undefined || rest.length > 0)
    return null;
  return isUuid(organisation) && isUuid(generation) ? { organisation, generation } : null;
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
