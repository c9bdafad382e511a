import { InvalidArgumentError } from 'commander';
import { parseKnownHead } from '../../core/audit/known-head.ts';
import type { Anchor, Verdict } from '../../core/audit/verify.ts';
import { isAppError } from '../../core/errors.ts';
import type { Services } from '../../services/services.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { withResources } from '../with-resources.ts';

/** `--head`, which may be given several times. */
export const collectHead = (text: string, known: readonly Anchor[]): readonly Anchor[] => {
  const head = parseKnownHead(text);
  if (head === null)
    throw new InvalidArgumentError(
      'A head is SIZE:ROOT, such as 12:6e34…: the number of entries, and 32 bytes in hex or base64.',
    );
  return [...known, head];
};

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

/** Place of the entry; null, with a word to the operator, when the log takes none: the verdict counts all the same. */
const entered = async ({ recordVerification }: Services, verdict: Verdict): Promise<number | null> => {
  try {
    return await recordVerification(verdict);
  } catch (error) {
    if (!isAppError(error)) throw error;
    say(`This verification is not in the access log, which takes no entry now: ${error.message}`);
    return null;
  }
};

/** Exit code 1 and the first bad index when anything does not agree. */
export const verify = async ({
  json = false,
  head: anchors,
}: {
  json?: boolean;
  head: readonly Anchor[];
}): Promise<number> =>
  withResources(async ({ verifyLog, services }) => {
    const onProgress = progress();
    const verdict = await verifyLog({ anchors, ...(onProgress && { onProgress }) });
    const entry = await entered(services, verdict);
    if (json) printData(JSON.stringify({ ...verdict, entry }));
    else {
      printData(`${verdict.ok ? 'ok' : 'NOT OK'}\t${verdict.size} entries\troot ${verdict.root}`);
      for (const { index, kind, message } of verdict.faults)
        printData(`${index ?? '-'}\t${kind}\t${message}`);
    }
    if (!verdict.ok)
      say(
        `The log does not agree with ${verdict.faults.every(({ kind }) => kind === 'anchor') ? 'a head that is known' : 'itself'}. Keep this database as it is and call your security officer.`,
      );
    return verdict.ok ? exitCodes.clean : exitCodes.findings;
  });
