import { decodeCursor, encodeCursor } from '../core/keyset.ts';
import type { PageRequest } from '../storage/keyset-page.ts';
import { invalid } from './fault.ts';

/** What a list is asked for. Both are attacker-controlled; `limit` has been bounded by the route's schema. */
export type ListQuery = { readonly limit?: number; readonly cursor?: string };

export type Page<T> = {
  readonly items: readonly T[];
  /** Where the next page starts; null on the last one. */
  readonly next: string | null;
};

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 200;

/** One page of a list by keyset: one row more than shown is fetched, to know whether there are more. */
export const pageOf = async <T extends { readonly id: string; readonly createdAt: Date }>(
  query: ListQuery,
  fetch: (request: PageRequest) => Promise<readonly T[]>,
): Promise<Page<T>> => {
  const limit = Math.min(query.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor);
  if (query.cursor !== undefined && after === null)
    throw invalid('querystring/cursor', 'is not one that an earlier answer gave');
  const rows = await fetch({ after, limit: limit + 1 });
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { items, next: more ? encodeCursor({ at: last.createdAt, id: last.id }) : null };
};
