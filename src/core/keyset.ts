import { isUuid } from './ids.ts';

/** The last row of a page: the next one starts after it, however many rows have been added meanwhile. */
export type KeysetPosition = { readonly at: Date; readonly id: string };

/** Opaque to whoever gets it; holds a time and an id, nothing that says more than the page did. */
export const encodeCursor = ({ at, id }: KeysetPosition): string =>
  Buffer.from(`${at.getTime()}.${id}`).toString('base64url');

/** Null for anything that no answer of ours contained. `cursor` is attacker-controlled. */
export const decodeCursor = (cursor: string): KeysetPosition | null => {
  const [, time = '', id = ''] =
    /^(-?\d{1,15})\.(.{36})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  return isUuid(id) ? { at: new Date(Number(time)), id } : null;
};
