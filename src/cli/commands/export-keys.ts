import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { withResources } from '../with-resources.ts';

/** One bundle of wrapped keys, into the object store or a folder; stdout says where it lies (docs/file-format.md §10). */
export const exportKeys = async (
  folder: string | undefined,
  { json = false }: { json?: boolean },
): Promise<number> =>
  withResources(async ({ services }) => {
    const { signal } = new AbortController();
    const made =
      folder === undefined
        ? await services.exportKeys.toStore('operator', signal)
        : await services.exportKeys.toFolder(folder, signal);
    if (folder !== undefined)
      say('Nobody removes this file: it keeps the wrapped keys of what will be erased, until you remove it.');
    if (json) printData(JSON.stringify(made));
    else printData(`${made.where}\t${made.count} keys\tsha256 ${made.sha256}`);
    return exitCodes.clean;
  });
