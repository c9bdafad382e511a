import { randomUUID } from 'node:crypto';
import { link, stat, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AppError, isAppError } from '../core/errors.ts';
import { onDisk, systemCode } from './disk-fault.ts';
import { writeFileDurably } from './file-object-writer.ts';
import { syncFolder } from './secret-file.ts';

const assertFolder = async (folder: string): Promise<void> => {
  const found = await stat(folder).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return null;
    throw error;
  });
  if (found?.isDirectory() !== true)
    throw new AppError('invalid_request', `${folder} is not a folder: make it first.`);
};

/**
 * Writes a bundle into somebody's folder (which must be there) under its own name, for the owner only (0600), whole or not
 * at all, and durably. Returns its path. Throws what the body throws, `invalid_request` without a folder, `storage_full`
 * and `storage_unavailable`.
 */
export const writeBundleFile = async (
  wanted: string,
  name: string,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<string> => {
  const folder = resolve(wanted);
  await onDisk(assertFolder(folder));
  const path = join(folder, name);
  const draft = join(folder, `.${randomUUID()}.part`);
  try {
    await writeFileDurably(draft, body, { signal });
    await onDisk(link(draft, path));
    await onDisk(syncFolder(folder));
    return path;
  } catch (error) {
    if (!isAppError(error, 'storage_unavailable')) throw error;
    throw new AppError('storage_unavailable', `${folder} cannot be written to: see who may.`, {
      cause: error,
    });
  } finally {
    await unlink(draft).catch(() => undefined);
  }
};
