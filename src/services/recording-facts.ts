import { AppError } from '../core/errors.ts';
import type { OrganisationId, RecordingId } from '../core/ids.ts';
import type { CallMetadata } from '../core/metadata.ts';
import type { FieldEncryption, FieldPlace } from '../crypto/field-encryption.ts';
import type { IndexName } from '../storage/recording-table.ts';

/** What a call says about people. Sealed as one value per recording; opened only with a receipt. */
export type PersonalFacts = {
  readonly callId: string;
  readonly callerNumber: string | null;
  readonly calledNumber: string | null;
  readonly agentId: string | null;
  readonly queue: string | null;
  readonly personalNumber: string | null;
  readonly originalName: string | null;
};

type Owned = { readonly id: string; readonly organisationId: string };

const place = (row: Owned, column: string): FieldPlace => ({
  organisation: row.organisationId as OrganisationId,
  recording: row.id as RecordingId,
  table: 'recording',
  column,
  row: row.id,
});

export const factsPlace = (row: Owned): FieldPlace => place(row, 'facts_sealed');
export const peaksPlace = (row: Owned): FieldPlace => place(row, 'peaks_sealed');

export const personalFactsOf = (metadata: CallMetadata): PersonalFacts => ({
  callId: metadata.callId,
  callerNumber: metadata.callerNumber?.raw ?? null,
  calledNumber: metadata.calledNumber?.raw ?? null,
  agentId: metadata.agentId,
  queue: metadata.queue,
  personalNumber: metadata.personalNumber,
  originalName: metadata.originalName,
});

export const encodeFacts = (facts: PersonalFacts): Buffer => Buffer.from(JSON.stringify(facts), 'utf8');
/** The bytes were sealed by us and have just verified, so their form is ours. */
export const decodeFacts = (bytes: Buffer): PersonalFacts =>
  JSON.parse(bytes.toString('utf8')) as PersonalFacts;

/** What is looked for, in the one spelling that is indexed; null is never indexed. */
export const canonicalFacts = (metadata: CallMetadata): Record<IndexName, string | null> => ({
  callId: metadata.callId,
  caller: metadata.callerNumber?.canonical ?? null,
  called: metadata.calledNumber?.canonical ?? null,
  agent: metadata.agentId,
  queue: metadata.queue,
  personal: metadata.personalNumber,
  name: metadata.originalName,
});

type Indexer = Pick<FieldEncryption, 'blindIndexes'>;

/** By what a delivery that its source has named is known, under every live version. */
export const deliveryIndexes = async (
  fields: Indexer,
  organisation: OrganisationId,
  deliveryId: string,
): Promise<Buffer[]> =>
  (await fields.blindIndexes(organisation, 'delivery', deliveryId)).map(({ index }) => index);

/**
 * The newest index of each fact, for the row; what the delivery is known by also under every live version, to recognise a
 * second one. A source that names its deliveries does so apart from the calls: no delivery id is ever taken for a call's.
 */
export const indexFacts = async (fields: Indexer, organisation: OrganisationId, metadata: CallMetadata) => {
  const entries = await Promise.all(
    Object.entries(canonicalFacts(metadata)).map(async ([name, canonical]) => {
      const indexes = canonical === null ? [] : await fields.blindIndexes(organisation, name, canonical);
      return [name as IndexName, indexes.map(({ index }) => index)] as const;
    }),
  );
  const all = Object.fromEntries(entries) as Record<IndexName, Buffer[]>;
  const { deliveryId } = metadata;
  const deliveries = deliveryId === null ? [] : await deliveryIndexes(fields, organisation, deliveryId);
  const first = ([index]: readonly Buffer[]): Uint8Array<ArrayBuffer> | null =>
    index === undefined ? null : new Uint8Array(index);
  const newest = (name: IndexName): Uint8Array<ArrayBuffer> | null => first(all[name]);
  return {
    /** Each fact under every live version. */
    stated: all,
    deliveries: deliveryId === null ? all.callId : deliveries,
    columns: {
      callIdIndex: newest('callId'),
      deliveryIndex: first(deliveries),
      callerIndex: newest('caller'),
      calledIndex: newest('called'),
      agentIndex: newest('agent'),
      queueIndex: newest('queue'),
      personalIndex: newest('personal'),
      nameIndex: newest('name'),
    },
  };
};

export type IndexedFacts = Awaited<ReturnType<typeof indexFacts>>;

/** `<index version>:<hex>` under the newest index key. */
const pseudonym = async (
  fields: Indexer,
  organisation: OrganisationId,
  domain: 'subject' | 'unknown_subject',
  canonical: string,
): Promise<string> => {
  const newest = (await fields.blindIndexes(organisation, domain, canonical))[0];
  if (newest === undefined) throw new AppError('keys_unavailable', 'no index key for subjects');
  return `${newest.version}:${newest.index.toString('hex')}`;
};

/** The keys of one patient under every live index key, newest first: whoever looks for her must look for each of them. */
export const subjectKeys = async (
  fields: Indexer,
  organisation: OrganisationId,
  canonical: string,
): Promise<readonly string[]> =>
  (await fields.blindIndexes(organisation, 'subject', canonical)).map(
    ({ version, index }) => `${version}:${index.toString('hex')}`,
  );

/** Pseudonymous key of a patient, the same for every call of the same number. */
export const subjectKey = (
  fields: Indexer,
  organisation: OrganisationId,
  canonical: string,
): Promise<string> => pseudonym(fields, organisation, 'subject', canonical);

/**
 * Whom the access log names (HSLF-FS 2016:40 4 kap.: the log names the patient): the identity number if known, else the
 * caller's number, both as pseudonymous keys. Of a caller who is unknown or withheld it is a key of this recording alone, so
 * that its entries can be found, and linked, once it is known who called.
 */
export const subjectOf = async (
  fields: Indexer,
  { organisation, recording }: { readonly organisation: OrganisationId; readonly recording: RecordingId },
  metadata: CallMetadata,
): Promise<string> => {
  const { personal, caller } = canonicalFacts(metadata);
  const canonical = personal ?? caller;
  return canonical === null
    ? pseudonym(fields, organisation, 'unknown_subject', recording)
    : subjectKey(fields, organisation, canonical);
};
