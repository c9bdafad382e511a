import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { type AppError, type ErrorCode, isAppError } from '../../src/core/errors.ts';
import { objectKeyOf, objectKeyParts } from '../../src/storage/object-key.ts';
import type { ObjectKey, ObjectStore } from '../../src/storage/object-store.ts';
import { collected } from './byte-streams.ts';
import { asSealed } from './object-bodies.ts';

/** A store with a look behind its back. */
export type OpenedStore = {
  readonly store: ObjectStore;
  /** Names of what uploads have left behind besides objects: drafts, parts. */
  readonly leftovers: () => Promise<readonly string[]>;
  /** Leaves what an upload leaves whose process was killed. */
  readonly strand: () => Promise<void>;
  readonly close: () => Promise<void>;
};

export const newKey = (organisation: string = randomUUID()): ObjectKey =>
  objectKeyOf(organisation, randomUUID());

/** A signal that never fires. */
export const never = (): AbortSignal => new AbortController().signal;

/** Stores bytes, with their length declared. */
export const store = async (to: ObjectStore, key: ObjectKey, bytes: Uint8Array): Promise<void> => {
  await to.put(key, asSealed(bytes), { bytes: bytes.length, signal: never() });
};

/** The bytes of a slice, by default of the whole object. */
export const fetched = async (
  from: ObjectStore,
  key: ObjectKey,
  range: { readonly start?: number; readonly end?: number } = {},
): Promise<Buffer> => collected((await from.get(key, { ...range, signal: never() })).body);

/** The error a promise rejects with; fails when it resolves. */
export const rejection = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was to fail, but it succeeded');
};

/** Expects a rejection with an AppError of this code, and hands it out. */
export const refusal = async (promise: Promise<unknown>, code: ErrorCode): Promise<AppError> => {
  const error = await rejection(promise);
  if (!isAppError(error)) throw error;
  expect(error.code).toBe(code);
  return error;
};

export const listedKeys = async (of: ObjectStore, after?: ObjectKey): Promise<string[]> =>
  (await Array.fromAsync(of.list(after === undefined ? {} : { after }))).map(({ key }) => key);

/** Expects that nobody can see, fetch or list the object, and that nothing of it takes up space. */
export const expectNothingLeft = async (
  { store: of, leftovers }: OpenedStore,
  key: ObjectKey,
): Promise<void> => {
  expect(await of.head(key)).toBeNull();
  await refusal(of.get(key, { signal: never() }), 'not_found');
  const organisation = objectKeyParts(key)!.organisation;
  expect((await listedKeys(of)).filter((listed) => listed.includes(organisation))).toEqual([]);
  expect(await leftovers()).toEqual([]);
};
