import type { ByteRange } from '../core/sealed-layout.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import type { objectKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { openOrReport, type ReportDamage } from './report-damage.ts';
import type { OpenedRecording } from './stream-playback.ts';

export type ReadVerifiedDeps = {
  readonly objects: Pick<ObjectStore, 'get'>;
  readonly objectKeyOf: typeof objectKeyOf;
  readonly keyRing: Pick<KeyRing, 'openObject'>;
  readonly reportDamage: ReportDamage;
};

/**
 * Verified plaintext of one piece, whole: not a byte of it exists for others before all of it has verified. A key that is
 * not the committed one and a missing or damaged object are alarms, never an ordinary 404.
 */
export const createReadVerified =
  ({ objects, objectKeyOf: keyOf, keyRing, reportDamage }: ReadVerifiedDeps) =>
  ({ row, envelope, receipt }: OpenedRecording, range: ByteRange, signal: AbortSignal): Promise<Buffer> =>
    openOrReport(reportDamage, row, async () => {
      const object = await keyRing.openObject(envelope, receipt);
      const key = keyOf(row.organisationId, row.generation);
      return object.readPiece(range, (sealed) => objects.get(key, { ...sealed, signal }));
    });

export type ReadVerified = ReturnType<typeof createReadVerified>;
