import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { withResources } from '../with-resources.ts';

/** `{dek, aad, segmentBytes, object}` in hex, and where the object lies (docs/file-format.md). */
export const openKey = async (id: string, { json = false }: { json?: boolean }): Promise<number> => {
  return withResources(async ({ services }) => {
    const opened = await services.openKey(id);
    say('This key opens the recording for whoever holds it. The access log says that it was taken.');
    if (json) printData(JSON.stringify(opened));
    else {
      for (const name of ['object', 'dek', 'aad', 'segmentBytes'] as const)
        printData(`${name}\t${opened[name]}`);
      printData(`keyset\t${JSON.stringify(opened.keyset)}`);
    }
    return exitCodes.clean;
  });
};
