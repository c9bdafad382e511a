import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { withResources } from '../with-resources.ts';

/** Long work shows progress on a terminal and stays silent in a pipe. */
const progress = (): ((seq: number, size: number) => void) | undefined => {
  if (!process.stderr.isTTY) return undefined;
  let last = 0;
  return (seq, size) => {
    if (Date.now() - last < 200 && seq < size) return;
    last = Date.now();
    process.stderr.write(`\r${seq} of ${size} entries${seq >= size ? '\n' : ''}`);
  };
};

/** Exit code 1 and the first bad index when anything does not agree. */
export const verify = async ({ json = false }: { json?: boolean }): Promise<number> =>
  withResources(async ({ verifyLog }) => {
    const onProgress = progress();
    const verdict = await verifyLog(onProgress);
    if (json) printData(JSON.stringify(verdict));
    else {
      printData(`${verdict.ok ? 'ok' : 'NOT OK'}\t${verdict.size} entries\troot ${verdict.root}`);
      for (const { index, kind, message } of verdict.faults)
        printData(`${index ?? '-'}\t${kind}\t${message}`);
    }
    if (!verdict.ok)
      say('The log does not agree with itself. Keep this database as it is and call your security officer.');
    return verdict.ok ? exitCodes.clean : exitCodes.findings;
  });
