import type { Origins } from './origins.ts';
import type { RefusalAggregator } from './refusal-aggregator.ts';

export type RefusedCredential = {
  readonly address: string;
  readonly reason: 'forged_token' | 'unknown_key' | 'bad_signature';
  readonly request: string;
};

/** A credential that this vault never gave, or took back: counted under the place it came from. */
export const createRecordRefusedCredential =
  ({
    origins,
    refusals,
  }: {
    readonly origins: Origins;
    readonly refusals: Pick<RefusalAggregator, 'record'>;
  }) =>
  async ({ address, reason, request }: RefusedCredential): Promise<void> => {
    const { label: prefix } = await origins.place(address);
    await refusals.record({ prefix, account: null, reason, request });
  };

export type RecordRefusedCredential = ReturnType<typeof createRecordRefusedCredential>;
