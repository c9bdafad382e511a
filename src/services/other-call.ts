import type { OrganisationId } from '../core/ids.ts';
import type { CallMetadata } from '../core/metadata.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { RecordingRow } from '../storage/recording-table.ts';
import { canonicalFacts, deliveryIndexes, type IndexedFacts } from './recording-facts.ts';

type Asked = {
  readonly actor: { readonly organisation: OrganisationId };
  readonly metadata: CallMetadata;
};

export type OtherCallDeps = { readonly fields: Pick<FieldEncryption, 'blindIndexes'> };

/** What agents know a file by: its content, or where it has none, its name. It says nothing of the call. */
const NAMES_CONTENT = /^(?:sha256|empty):/;

const TELLING = [
  ['caller', 'callerIndex'],
  ['called', 'calledIndex'],
  ['personal', 'personalIndex'],
] as const;

/** Nothing can be heard in it: two such recordings can have the same bytes and be of different calls. */
const hasNoSound = ({ flags }: RecordingRow): boolean => flags.includes('empty') || flags.includes('silent');

/**
 * One file is one recording, under whatever names it lies there. But of two calls in which nothing was said the bytes are the
 * same: what a telephony system leaves of an unanswered call is a header. Those are two recordings as soon as they are told to
 * be of different calls.
 */
export const createOtherCall = ({ fields }: OtherCallDeps) => {
  const differs = (stated: readonly Buffer[], known: Uint8Array | null): boolean =>
    known !== null && stated.length > 0 && !stated.some((index) => index.equals(known));

  /** An agent that knows no call id gives the delivery's. */
  const isNamed = async ({ actor }: Asked, deliveryId: string, row: RecordingRow): Promise<boolean> => {
    const unnamed = await fields.blindIndexes(actor.organisation, 'callId', deliveryId);
    return differs(
      unnamed.map(({ index }) => index),
      row.callIdIndex,
    );
  };

  return {
    /** Whether a delivery is of another call than the recording that is known by the same content. */
    async isOther(row: RecordingRow, asked: Asked, { stated }: IndexedFacts): Promise<boolean> {
      const { callId, deliveryId } = asked.metadata;
      if (deliveryId === null || !NAMES_CONTENT.test(deliveryId) || !hasNoSound(row)) return false;
      if (TELLING.some(([name, column]) => differs(stated[name], row[column]))) return true;
      return (
        callId !== deliveryId &&
        differs(stated.callId, row.callIdIndex) &&
        (await isNamed(asked, deliveryId, row))
      );
    },

    /** The delivery, known by its call as well: the same for whoever tells the same of it. */
    async apart({ actor, metadata }: Asked, indexed: IndexedFacts): Promise<IndexedFacts> {
      const { callId, caller, called, personal } = canonicalFacts(metadata);
      const name = JSON.stringify([metadata.deliveryId, callId, caller, called, personal]);
      const deliveries = await deliveryIndexes(fields, actor.organisation, name);
      const newest = deliveries[0];
      if (newest === undefined) return indexed;
      return {
        ...indexed,
        deliveries,
        columns: { ...indexed.columns, deliveryIndex: new Uint8Array(newest) },
      };
    },
  };
};
