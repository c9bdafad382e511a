import { decide, type SourceActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { ResumableUploadTable, UploadRow } from '../storage/resumable-upload-table.ts';
import type { RecordDenial } from './record-denial.ts';

export type OwnUploadDeps = {
  readonly uploads: Pick<ResumableUploadTable, 'find'>;
  readonly recordDenial: RecordDenial;
  readonly now: () => number;
};

/**
 * An upload for the source that began it and nobody else. Rejects with `not_found`, and an entry, for one of another source,
 * one that is past its time and one that never was: the three look alike.
 */
export const createOwnUpload =
  ({ uploads, recordDenial, now }: OwnUploadDeps) =>
  async ({
    actor,
    uploadId,
    request,
  }: {
    readonly actor: SourceActor;
    readonly uploadId: string;
    readonly request: string;
  }): Promise<UploadRow> => {
    const row = await uploads.find(uploadId);
    const isOwn = row !== null && row.sourceId === actor.id && row.expiresAt.getTime() > now();
    if (row !== null && decide(actor.role, 'upload.continue', isOwn ? 'self' : 'foreign') === 'allow')
      return row;
    await recordDenial({ actor, request, route: '/v1/uploads/:id', reason: 'unknown' });
    throw new AppError('not_found', 'There is no such upload.');
  };

export type OwnUpload = ReturnType<typeof createOwnUpload>;
