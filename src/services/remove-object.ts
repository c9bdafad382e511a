import type { envelopeKeyOf, objectKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';

export type RemoveObjectDeps = {
  readonly objects: Pick<ObjectStore, 'delete'>;
  readonly objectKeyOf: typeof objectKeyOf;
  readonly envelopeKeyOf: typeof envelopeKeyOf;
};

/**
 * Removes the copy of the envelope, then the object, each with every version of it. What is not there is removed already;
 * safe to repeat after a failure or a crash in between.
 */
export const removeObject = async (
  { objects, objectKeyOf, envelopeKeyOf }: RemoveObjectDeps,
  organisation: string,
  generation: string,
): Promise<void> => {
  await objects.delete(envelopeKeyOf(organisation, generation));
  await objects.delete(objectKeyOf(organisation, generation));
};
