import { AppError, isAppError } from '../core/errors.ts';
import type { ByteRange } from '../core/sealed-layout.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import type { objectKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { ReportDamage } from './report-damage.ts';
import type { OpenedRecording } from './stream-playback.ts';

export type ReadVerifiedDeps = {
  readonly objects: Pick<ObjectStore, 'get'>;
  readonly objectKeyOf: typeof objectKeyOf;
  readonly keyRing: Pick<KeyRing, 'openObject'>;
  readonly reportDamage: ReportDamage;
};

/**
 * Verified plaintext of one piece, whole: not a byte of it exists for others before all of it has verified. A missing or
 * damaged object is an alarm, never an ordinary 404.
 */
export const createReadVerified =
  ({ objects, objectKeyOf: keyOf, keyRing, reportDamage }: ReadVerifiedDeps) =>
  async (
    { row, envelope, receipt }: OpenedRecording,
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<Buffer> => {
    const object = await keyRing.openObject(envelope, receipt);
    const key = keyOf(row.organisationId, row.generation);
    try {
      return await object.readPiece(range, (sealed) => objects.get(key, { ...sealed, signal }));
    } catch (error) {
      if (!isAppError(error, 'integrity_failure') && !isAppError(error, 'not_found')) throw error;
      await reportDamage(row, error);
      throw new AppError('integrity_failure', 'the stored object is missing or damaged', { cause: error });
    }
  };

export type ReadVerified = ReturnType<typeof createReadVerified>;
