import { join } from 'node:path';
import type { CheckpointPlace } from '../audit/checkpoint-place.ts';
import type { Config } from '../config.ts';
import { isAppError } from '../core/errors.ts';
import { isOnAnotherFileSystem, openCheckpointFolder } from '../storage/checkpoint-folder.ts';

/** A place where checkpoints are kept besides the database, and what keeps it from being a second place, if anything. */
export type JudgedPlace = { readonly place: CheckpointPlace; readonly weakness: string | null };

/** A place that is configured and cannot be asked now, and why, in a sentence. */
export type AwayPlace = { readonly where: string; readonly fault: string };

export type Places = { readonly judged: readonly JudgedPlace[]; readonly away: readonly AwayPlace[] };

/** Each epoch has a room of its own: sizes begin anew behind the part that the epochs share. */
const openFolder = async ({ dataDir, checkpointDir }: Config, own: string): Promise<JudgedPlace> => {
  const apart = await isOnAnotherFileSystem(own, dataDir);
  const named = checkpointDir === null ? {} : { named: checkpointDir };
  const place = await openCheckpointFolder(own, Date.now(), named);
  return { place, weakness: apart ? null : 'on the same file system as the data' };
};

type Place = { readonly where: string; readonly open: () => Promise<JudgedPlace> };

const bucketOf = async ({ s3, checkpointLockDays }: Config, epoch: number): Promise<readonly Place[]> => {
  if (s3 === null) return [];
  const { openS3Checkpoints, s3CheckpointsAt } = await import('../storage/s3-checkpoints.ts');
  const options = { ...s3, epoch, lockDays: checkpointLockDays, now: Date.now };
  const open = async (): Promise<JudgedPlace> => {
    const place = await openS3Checkpoints(options);
    return { place, weakness: place.locking ? null : 'without Object Lock' };
  };
  return [{ where: s3CheckpointsAt(options), open }];
};

const folderOf = (config: Config, epoch: number): readonly Place[] => {
  const folder = config.checkpointDir ?? (config.s3 === null ? join(config.dataDir, 'checkpoints') : null);
  if (folder === null) return [];
  const where = epoch === 1 ? folder : join(folder, `epoch-${epoch}`);
  return [{ where, open: () => openFolder(config, where) }];
};

/**
 * Every place that is configured, in the room of one epoch. A command goes on without one that is away, for it may be about
 * what needs none, and tells of it; for a vault that is to serve this rejects with `storage_unavailable`.
 */
export const openPlaces = async (
  { config, purpose }: { readonly config: Config; readonly purpose: 'serve' | 'command' },
  epoch: number,
): Promise<Places> => {
  const judged: JudgedPlace[] = [];
  const away: AwayPlace[] = [];
  for (const { where, open } of [...(await bucketOf(config, epoch)), ...folderOf(config, epoch)]) {
    try {
      judged.push(await open());
    } catch (error) {
      if (purpose === 'serve' || !isAppError(error, 'storage_unavailable')) throw error;
      away.push({ where, fault: error.message });
    }
  }
  return { judged, away };
};
