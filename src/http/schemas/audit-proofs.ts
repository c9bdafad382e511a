import { Type } from 'typebox';
import { Closed, Nullable } from './common.ts';

const WHOLE = '^(0|[1-9][0-9]{0,14})$';
const Place = Type.String({ pattern: WHOLE, maxLength: 15, description: 'place of an entry, from 0' });
const Size = Type.String({
  pattern: WHOLE,
  maxLength: 15,
  description: 'number of entries of a tree; the present one when absent',
});

export const InclusionQuery = Closed({ seq: Place, size: Type.Optional(Size) });
export const ConsistencyQuery = Closed({ from: Size, to: Type.Optional(Size) });

const Hash = Type.String({ maxLength: 44, description: '32 bytes in base64' });
const Hashes = Type.Array(Hash, { description: 'from the leaf up (RFC 6962 §2.1.1, §2.1.2)' });
const Count = Type.Integer({ minimum: 0 });

const inclusion = { seq: Count, size: Count, leaf: Hash, root: Hash, proof: Hashes };

export const InclusionSchema = Closed(inclusion);
export const ConsistencySchema = Closed({
  from: Count,
  to: Count,
  fromRoot: Hash,
  toRoot: Hash,
  proof: Hashes,
});
export const EntryProofSchema = Closed({
  ...inclusion,
  commitment: Hash,
  salt: Hash,
  body: Type.String({ description: 'the very text that was committed to' }),
  checkpoint: Nullable(
    Type.String({
      description:
        'signed note (C2SP) of this size and root; null when the entry is newer than the newest checkpoint',
    }),
  ),
});
