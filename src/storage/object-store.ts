/**
 * Where sealed objects lie. Moves ciphertext and never holds a key. Two implementations (file system, S3) and one
 * contract suite (test/contract/object-store.ts) that both pass, plain and behind a flaky wrapper.
 */
declare const objectKeyBrand: unique symbol;
/**
 * A key made by {@link objectKeyOf}, {@link envelopeKeyOf}, {@link partKeyOf} or {@link bundleKeyOf} only: UUIDs and a time, so
 * no number, name or path of a caller can be in it.
 */
export type ObjectKey = string & { readonly [objectKeyBrand]: true };

export type ObjectSlice = {
  /**
   * Bytes in order; must be consumed or destroyed. Ending early without an error means the slice is complete. A chunk is
   * the consumer's only until he asks for the next one: stores read into the same memory again.
   */
  readonly body: AsyncIterable<Buffer>;
  /** Length of the whole object as the store reports it, for the check against the row before a header is sent. */
  readonly totalBytes: number;
};

/** Whether somebody, in whichever process, is writing the object of this key now. */
export type IsUnderWay = (key: ObjectKey) => Promise<boolean>;

export type StoredObject = { readonly key: ObjectKey; readonly bytes: number; readonly modifiedAt: Date };

export interface ObjectStore {
  readonly kind: 'file' | 's3';
  /**
   * Stores a new object; when it resolves, the object survives a power cut. An object is never half visible: on any
   * failure (including `signal`) nothing is left under `key`. Refuses an existing key with `conflict`.
   * `bytes` is the exact sealed length when it is known beforehand; the store refuses a body of another length
   * (`length_mismatch`). A chunk belongs to the store once it was yielded: nobody else may look at it again.
   * Rejects with the body's own error or the signal's reason unchanged; otherwise with `storage_full` or
   * `storage_unavailable`. A signal that comes when the object is complete is too late and has no effect.
   */
  put(
    key: ObjectKey,
    body: AsyncIterable<Uint8Array>,
    options: { readonly bytes?: number; readonly signal: AbortSignal },
  ): Promise<{ readonly bytes: number }>;
  /**
   * Bytes [start, end) of the object, cut at its end; `not_found` when there is none. A slice that begins behind the end
   * is empty, not an error: `totalBytes` tells the caller that the object is not the one he knows.
   */
  get(
    key: ObjectKey,
    options: { readonly start?: number; readonly end?: number; readonly signal: AbortSignal },
  ): Promise<ObjectSlice>;
  /** Where an object lies, for a person with another tool: a path, or s3://bucket/name. */
  locate(key: ObjectKey): string;
  /** Length, or null when there is no such object. */
  head(key: ObjectKey): Promise<{ readonly bytes: number } | null>;
  /** Removes the object and every older version of it. Removing what is not there succeeds. */
  delete(key: ObjectKey): Promise<void>;
  /** Every object, copy of an envelope (the object comes first) and part of an upload in key order, for the sweeper and the inventory. */
  list(options?: { readonly after?: ObjectKey }): AsyncIterable<StoredObject>;
  /** Every bundle of wrapped keys, oldest first; the caller of {@link list} does not see them. */
  bundles(): AsyncIterable<StoredObject>;
  /**
   * Removes what interrupted uploads left behind (temporary files, multipart uploads) and nothing was added to since `olderThan`.
   * What this process is writing is never touched. Of others, who may share a bucket but never a folder, only `isUnderWay`
   * knows: a slow one can be older than any age without a new part.
   */
  sweep(olderThan: Date, isUnderWay?: IsUnderWay): Promise<{ readonly removed: number }>;
  /** Throws `storage_unavailable` when objects cannot be written and read now; `storage_full` below the floor of free space. */
  check(): Promise<void>;
  /** Free bytes below the store, or null where the store has no such notion (S3). */
  freeBytes(): Promise<number | null>;
  close(): Promise<void>;
}
