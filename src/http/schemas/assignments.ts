import { Type } from 'typebox';
import { Closed, Cursor, Instant, Nullable, Uuid } from './common.ts';

/** Ids and times of the vault's own: nothing of the call. */
export const UnassignedSchema = Closed({
  id: Uuid,
  source: Uuid,
  careUnit: { ...Nullable(Uuid), description: 'the disabled care unit that it has; null: none' },
  storedAt: Instant,
});
export const UnassignedPage = Closed({ items: Type.Array(UnassignedSchema), next: Nullable(Cursor) });
export const CareUnitBody = Closed({ unit: Uuid });
