import type { AnnouncedCall } from '../core/announced-call.ts';
import { AppError } from '../core/errors.ts';
import type { OrganisationId, RecordingId } from '../core/ids.ts';
import type { FieldEncryption, FieldPlace } from '../crypto/field-encryption.ts';
import type { CallRow } from '../storage/call-table.ts';
import type { IndexName } from '../storage/recording-table.ts';

export type SealCallDeps = {
  readonly fields: Pick<FieldEncryption, 'blindIndexes' | 'sealField'>;
  readonly newId: () => string;
};

/** A call that the source has announced before, as it is kept. */
export type KnownCall = { readonly id: string; readonly callIdIndex: Buffer };

/** A call with its keyed id under every live key, newest first: the same that its recording has. */
export type IndexedCall = { readonly call: AnnouncedCall; readonly indexes: readonly Buffer[] };

/** A call has no recording of its own: what is sealed opens under the call's id alone, and nothing gives a receipt for that. */
const placeOf = (organisation: OrganisationId, id: string): FieldPlace => ({
  organisation,
  recording: id as RecordingId,
  table: 'announced_call',
  column: 'facts_sealed',
  row: id,
});

/** Announced calls as they are kept: call id and numbers sealed, and indexed as those of recordings are. */
export const createSealCall = ({ fields, newId }: SealCallDeps) => {
  const indexesOf = async (organisation: OrganisationId, name: IndexName, canonical: string | null) =>
    canonical === null
      ? []
      : (await fields.blindIndexes(organisation, name, canonical)).map(({ index }) => index);

  return {
    index: async (organisation: OrganisationId, call: AnnouncedCall): Promise<IndexedCall> => ({
      call,
      indexes: await indexesOf(organisation, 'callId', call.callId),
    }),

    /** The row; of a call that is known already, with the id and the index that it has. */
    async row(
      organisation: OrganisationId,
      { call, indexes }: IndexedCall,
      known: KnownCall | undefined,
    ): Promise<CallRow> {
      const { callerNumber, calledNumber, startedAt, endedAt, overAt } = call;
      const callIdIndex = known?.callIdIndex ?? indexes[0];
      if (callIdIndex === undefined) throw new AppError('keys_unavailable', 'no index key for calls');
      const id = known?.id ?? newId();
      const facts = {
        callId: call.callId,
        callerNumber: callerNumber?.raw ?? null,
        calledNumber: calledNumber?.raw ?? null,
      };
      const [[callerIndex = null], [calledIndex = null], factsSealed] = await Promise.all([
        indexesOf(organisation, 'caller', callerNumber?.canonical ?? null),
        indexesOf(organisation, 'called', calledNumber?.canonical ?? null),
        fields.sealField(placeOf(organisation, id), Buffer.from(JSON.stringify(facts), 'utf8')),
      ]);
      return {
        id,
        callIdIndex,
        callerIndex,
        calledIndex,
        factsSealed,
        saysNumbers: callerNumber !== null || calledNumber !== null,
        startedAt: new Date(startedAt),
        endedAt: endedAt === null ? null : new Date(endedAt),
        overAt: new Date(overAt),
        direction: call.direction,
        expected: call.expected,
        reason: call.reason,
        expectedMs: call.expectedMs,
        isLeg: call.isLeg,
      };
    },
  };
};

export type SealCall = ReturnType<typeof createSealCall>;
