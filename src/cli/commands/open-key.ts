import { join } from 'node:path';
import { AppError } from '../../core/errors.ts';
import { isUuid } from '../../core/ids.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { withResources } from '../with-resources.ts';

/** `{dek, aad, segmentBytes, object}` in hex, and where the object lies (docs/file-format.md). */
export const openKey = async (recording: string, { json = false }: { json?: boolean }): Promise<number> => {
  const id = recording.toLowerCase();
  if (!isUuid(id)) throw new AppError('invalid_request', 'The recording is named by its id, a UUID.');
  return withResources(async ({ services }, config) => {
    const opened = await services.openKey(id);
    const object =
      config.s3 === null
        ? join(config.dataDir, 'objects', opened.object)
        : `s3://${config.s3.bucket}/${opened.object}`;
    const answer = { ...opened, object };
    say('This key opens the recording for whoever holds it. The access log says that it was taken.');
    printData(
      json
        ? JSON.stringify(answer)
        : Object.entries(answer)
            .map(([name, value]) => `${name}\t${value}`)
            .join('\n'),
    );
    return exitCodes.clean;
  });
};
