/** Branded identifiers: a recording's id cannot be passed where an organisation's is wanted. All are lower-case UUIDs. */
declare const brand: unique symbol;
type Id<B extends string> = string & { readonly [brand]: B };

export type OrganisationId = Id<'organisation'>;
export type UnitId = Id<'unit'>;
export type SourceId = Id<'source'>;
export type UserId = Id<'user'>;
export type SessionId = Id<'session'>;
export type RecordingId = Id<'recording'>;
export type GenerationId = Id<'generation'>;
export type PlaybackId = Id<'playback'>;
export type HoldId = Id<'hold'>;
export type EventId = Id<'event'>;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const isUuid = (value: string): boolean => UUID.test(value);

/** The 16 bytes of a UUID, as the sealed format and the key labels use them. Throws RangeError on anything else. */
export const uuidBytes = (id: string): Buffer => {
  if (!isUuid(id)) throw new RangeError('not a lower-case UUID');
  return Buffer.from(id.replaceAll('-', ''), 'hex');
};
