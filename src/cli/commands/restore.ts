import { InvalidArgumentError } from 'commander';
import { isReason } from '../../services/declare-epoch.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { readSecrets } from '../read-secrets.ts';
import { withResources } from '../with-resources.ts';

/** `--approver`, which is given twice. */
export const collectApprover = (email: string, known: readonly string[]): readonly string[] => [
  ...known,
  email,
];

/** `--reason`. */
export const parseReason = (text: string): string => {
  if (!isReason(text))
    throw new InvalidArgumentError('Give the reason in a sentence of 10 to 500 characters.');
  return text;
};

/** Opens a new epoch of the access log; two people prove who they are. */
export const restore = async ({
  reason,
  approver: emails,
  json = false,
}: {
  reason: string;
  approver: readonly string[];
  json?: boolean;
}): Promise<number> => {
  if (emails.length !== 2) {
    say('Give --approver twice: two different people answer for a new epoch.');
    return exitCodes.usage;
  }
  const passwords = await readSecrets(
    process.stdin,
    emails.map((email) => `Password of ${email}: `),
  );
  return withResources(async ({ upkeep }) => {
    const approvers = emails.map((email, i) => ({ email, password: passwords[i] ?? '' }));
    const declared = await upkeep.declareEpoch({ reason, approvers });
    const { epoch, seq, lostFrom, lostTo } = declared;
    if (json) printData(JSON.stringify(declared));
    else printData(`epoch ${epoch}\tentry ${seq}\tlost ${lostFrom} to ${lostTo - 1}`);
    say(
      'The log goes on in a new epoch. Keep the old checkpoints; give verifiers and witnesses the key of the new epoch (callvault log-key).',
    );
    return exitCodes.clean;
  });
};
