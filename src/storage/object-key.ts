import { isUuid } from '../core/ids.ts';
import type { ObjectKey } from './object-store.ts';

/** `recordings/<organisation>/<generation>`: the generation is new for every upload attempt, so a key is written once. */
export const objectKeyOf = (organisation: string, generation: string): ObjectKey => {
  if (!isUuid(organisation) || !isUuid(generation))
    throw new RangeError('an object key is made of two UUIDs');
  return `recordings/${organisation}/${generation}` as ObjectKey;
};
