import { join } from 'node:path';
import type { CheckpointPlace } from '../audit/checkpoint-place.ts';
import type { Config } from '../config.ts';
import { isAppError } from '../core/errors.ts';
import { isOnAnotherFileSystem, openCheckpointFolder } from '../storage/checkpoint-folder.ts';

/** A place where checkpoints are kept besides the database, and what keeps it from being a second place, if anything. */
export type JudgedPlace = { readonly place: CheckpointPlace; readonly weakness: string | null };

/** Each epoch has a room of its own: sizes begin anew behind the part that the epochs share. */
const openFolder = async (
  { dataDir, checkpointDir }: Config,
  folder: string,
  epoch: number,
): Promise<JudgedPlace> => {
  const apart = await isOnAnotherFileSystem(folder, dataDir);
  const own = epoch === 1 ? folder : join(folder, `epoch-${epoch}`);
  const named = checkpointDir === null ? {} : { named: checkpointDir };
  const place = await openCheckpointFolder(own, Date.now(), named);
  return { place, weakness: apart ? null : 'on the same file system as the data' };
};

const openBucket = async ({ s3, checkpointLockDays }: Config, epoch: number): Promise<JudgedPlace | null> => {
  if (s3 === null) return null;
  const { openS3Checkpoints } = await import('../storage/s3-checkpoints.ts');
  const place = await openS3Checkpoints({ ...s3, epoch, lockDays: checkpointLockDays, now: Date.now });
  return { place, weakness: place.locking ? null : 'without Object Lock' };
};

/** A command goes on without a bucket that is away: it may be about what needs none. */
export const openPlaces = async (
  { config, purpose }: { readonly config: Config; readonly purpose: 'serve' | 'command' },
  epoch: number,
): Promise<readonly JudgedPlace[]> => {
  const bucket = await openBucket(config, epoch).catch((error: unknown) => {
    if (purpose === 'command' && isAppError(error, 'storage_unavailable')) return null;
    throw error;
  });
  const folder = config.checkpointDir ?? (config.s3 === null ? join(config.dataDir, 'checkpoints') : null);
  return [bucket, folder === null ? null : await openFolder(config, folder, epoch)].filter(
    (one) => one !== null,
  );
};
