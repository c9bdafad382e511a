import { Type } from 'typebox';
import { Closed, Instant, Uuid } from './common.ts';

const Sha256 = (description: string) => Type.String({ pattern: '^[0-9a-f]{64}$', description });
const Count = (description: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description });

export const VerificationSchema = Closed({
  id: Uuid,
  sha256: Sha256('of what lies in the store, read and opened now; compare before deleting your copy'),
  bytes: Type.Integer(),
});

/** Names are attacker-controlled, as long as in the metadata of a call. */
export const ImportCheckBody = Closed({
  careUnits: Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
    minItems: 1,
    maxItems: 20,
    description: 'ids or names, as calls will name them',
  }),
});

export const ImportReportBody = Closed({
  sha256: Sha256('of the report, a file that stays with whoever imported'),
  files: Count('that were found'),
  verified: Count('that were stored and read back'),
  wiped: Count('of the verified that were then removed where they lay'),
  exceptions: Count('that were not verified, each of which the report names'),
});
export const ImportReportSchema = Closed({
  id: { ...Uuid, description: 'of the entry of the access log' },
  at: Instant,
});
