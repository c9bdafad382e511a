import type { KeysetPosition } from '../core/keyset.ts';

/** Rows made after this position, oldest first: the condition and the order belong together. */
export const afterPosition = (after: KeysetPosition | null) =>
  after === null
    ? {}
    : { OR: [{ createdAt: { gt: after.at } }, { createdAt: after.at, id: { gt: after.id } }] };

export const oldestFirst = [{ createdAt: 'asc' as const }, { id: 'asc' as const }];

export type PageRequest = {
  readonly after: KeysetPosition | null;
  /** Rows wanted; one more than shown tells whether there are more. */
  readonly limit: number;
};
