import type { ExportVerdict } from '../../core/audit/export-verify.ts';
import type { Fault } from '../../core/audit/fault.ts';
import type { KeptNotes } from '../../core/audit/kept-notes.ts';
import { parseNoteKey } from '../../core/audit/note.ts';
import type { Trust } from '../../core/audit/trust.ts';
import type { Verdict } from '../../core/audit/verify.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import type { Services } from '../../services/services.ts';
import { exitCodes } from '../exit-codes.ts';
import { keptNotesIn } from '../kept-notes.ts';
import { printData, say, sayError } from '../print.ts';
import { type FileVerdict, verifyFiles } from '../verify-files.ts';
import { readToken, verifyVault } from '../verify-live.ts';
import { trustOf, type VerifyOptions } from '../verify-options.ts';
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

const printFaults = (faults: readonly Fault[]): void => {
  for (const { index, kind, message } of faults) printData(`${index ?? '-'}\t${kind}\t${message}`);
};

/** What is no fault, and must not be overlooked either. */
const sayHistory = ({ pruned, epochs }: Pick<Verdict, 'pruned' | 'epochs'>): void => {
  if (pruned > 0) say(`${pruned} bodies were removed when their time was out, and the log tells of it.`);
  for (const { seq, epoch, lostFrom, lostTo } of epochs)
    say(
      `Entry ${seq} opened epoch ${epoch}: entries ${lostFrom} to ${lostTo - 1} of the log before it were lost.`,
    );
};

const nothingKept: KeptNotes = { anchors: [], notes: 0, faultCount: 0, faults: [] };

const keptIn = async (folder: string | undefined, trust: Trust): Promise<KeptNotes> => {
  if (folder === undefined) return nothingKept;
  const kept = await keptNotesIn(folder, trust);
  say(`${folder} holds ${kept.notes} checkpoints.`);
  // A share that is not mounted looks like this, and would pass for proof.
  if (kept.notes === 0 && kept.faultCount === 0)
    throw new AppError(
      'config_invalid',
      `There is no checkpoint in ${folder} to compare with: is it the folder, and is it mounted?`,
    );
  return kept;
};

type Findings = Pick<Verdict, 'ok' | 'faultCount' | 'faults'>;

/** What is wrong with the checkpoints themselves counts as what is wrong with the log. */
const withKept = <V extends Findings>(verdict: V, { faultCount, faults }: KeptNotes): V => ({
  ...verdict,
  ok: verdict.ok && faultCount === 0,
  faultCount: verdict.faultCount + faultCount,
  faults: [...verdict.faults, ...faults],
});

/** What opening the log found: checkpoints that the vault itself keeps are heads that the log must contain, too. */
const withOwn = <V extends Findings>(verdict: V, disagreement: AppError | null): V => {
  if (disagreement === null) return verdict;
  const own: Fault = { index: null, kind: 'anchor', message: disagreement.message };
  return withKept(verdict, { ...nothingKept, faultCount: 1, faults: [own] });
};

/** Whoever has, or had, this role could have changed what the rest of the verdict stands on. */
const excessOf = (excess: string | null): KeptNotes =>
  excess === null
    ? nothingKept
    : { ...nothingKept, faultCount: 1, faults: [{ index: null, kind: 'guard', message: excess }] };

const sayDisagreement = ({ faults }: Findings): void =>
  say(
    `The log does not agree with ${faults.every(({ kind }) => kind === 'anchor') ? 'a head that is known' : 'itself'}. Keep this database as it is and call your security officer.`,
  );

/** The log is not blamed for what lies beside its checkpoints. */
const sayKept = (folder = ''): void =>
  say(`Not all that lies in ${folder} is a checkpoint of this log as it was signed.`);

const codeOf = (ok: boolean, isWhole = true): number => {
  if (!ok) return exitCodes.findings;
  return isWhole ? exitCodes.clean : exitCodes.couldNotRun;
};

/** Checkpoints that could not be asked may be the very ones that the log does not agree with. */
const wordOf = (ok: boolean, isWhole: boolean): string => {
  if (!ok) return 'NOT OK';
  return isWhole ? 'ok' : 'NOT COMPARED';
};

const verifyDatabase = (options: VerifyOptions): Promise<number> =>
  withResources(
    async ({ verifyLog, services, checkpoints, excess }) => {
      const own = checkpoints.logKeys.map(parseNoteKey).filter((key) => key !== null);
      const trust = trustOf(options.key.length === 0 ? { ...options, key: own } : options);
      if (options.against !== undefined && options.key.length === 0)
        say(
          'Without --key the key that this installation has now is trusted; whoever could replace it could sign.',
        );
      const kept = await keptIn(options.against, trust);
      const onProgress = progress();
      const anchors = [...options.head, ...kept.anchors];
      const walked = await verifyLog({ anchors, ...(onProgress && { onProgress }) });
      const findings = withOwn(walked, checkpoints.disagreement);
      const verdict = withKept(withKept(findings, kept), excessOf(excess));
      const entry = await entered(services, verdict);
      const { notCompared } = checkpoints;
      const isWhole = notCompared.length === 0;
      if (options.json)
        printData(JSON.stringify({ ...verdict, ok: verdict.ok && isWhole, notCompared, entry }));
      else {
        printData(`${wordOf(verdict.ok, isWhole)}\t${verdict.size} entries\troot ${verdict.root}`);
        printFaults(verdict.faults);
      }
      sayHistory(verdict);
      if (kept.faultCount > 0) sayKept(options.against);
      if (findings.faultCount > 0) sayDisagreement(findings);
      return codeOf(verdict.ok, isWhole);
    },
    { mayFound: false, excess: 'told' },
  );

const signedBy = ({ checkpointSize, signed, witnesses }: ExportVerdict): string => {
  if (checkpointSize === 0) return 'no checkpoint';
  const who = signed ? 'signed' : 'signature not asked for (--key)';
  return `checkpoint of ${checkpointSize} ${who}${witnesses === 0 ? '' : `, seen by ${witnesses}`}`;
};

const printExport = (name: string, verdict: ExportVerdict): void => {
  const { ok, kind, from, to, entries, bodies, size, root } = verdict;
  const what = kind === 'range' ? `entries ${from} to ${to}` : `${entries} entries, each proven by itself`;
  printData(
    `${ok ? 'ok' : 'NOT OK'}\t${name}\t${kind === null ? 'no export' : `${what} of ${size}, ${bodies} bodies`}\troot ${root}\t${signedBy(verdict)}`,
  );
  printFaults(verdict.faults);
};

/** What the verdict does not say by itself. */
const sayLimits = (verdict: ExportVerdict): void => {
  const { ok, kind, size, checkpointSize, uncompared } = verdict;
  sayHistory(verdict);
  if (ok && checkpointSize < size)
    say(`Entries from ${checkpointSize} on were not yet under a checkpoint when this was made.`);
  if (ok && kind === 'selection')
    say('Of entries chosen by what they are about nobody can show that none is left out.');
  if (uncompared > 0) say(`${uncompared} known heads are of trees that this file says nothing about.`);
};

/** A body that was taken out looks like somebody else's entry, unless somebody tells how many there were. */
const sayUncounted = ({ ok, toldOf, file, kind, entry, bodies }: FileVerdict): void => {
  if (ok && !toldOf && kind === 'range')
    say(
      `${file} shows ${bodies} bodies. How many were given is the count of entry ${entry}, in a later export.`,
    );
};

const sayLarger = ({ file, bodies, larger }: FileVerdict): void => {
  for (const told of larger)
    say(
      `${file} shows ${bodies} bodies. Entry ${told.entry} in ${told.file} tells of an export of the same entries, to the same readers, by which ${told.count} were given.`,
    );
};

const verifyExports = async (files: readonly string[], options: VerifyOptions): Promise<number> => {
  const trust = trustOf(options);
  const kept = await keptIn(options.against, trust);
  const verdicts = await verifyFiles(files, { trust, anchors: [...options.head, ...kept.anchors] });
  const ok = kept.faultCount === 0 && verdicts.every((verdict) => verdict.ok);
  if (options.json) printData(JSON.stringify({ ok, files: verdicts, checkpoints: kept.faults }));
  else {
    for (const verdict of verdicts) printExport(verdict.file, verdict);
    if (kept.faultCount > 0) printData(`NOT OK\t${options.against}\t${kept.notes} checkpoints`);
    printFaults(kept.faults);
  }
  if (kept.faultCount > 0) sayKept(options.against);
  for (const verdict of verdicts) {
    sayLimits(verdict);
    sayUncounted(verdict);
    sayLarger(verdict);
  }
  return codeOf(ok);
};

const verifyRunning = async (address: string, options: VerifyOptions): Promise<number> => {
  const trust = trustOf(options);
  const kept = await keptIn(options.against, trust);
  const anchors = [...options.head, ...kept.anchors];
  try {
    const token = await readToken(process.stdin);
    // On a terminal alone: what a script reads tells of nothing but the verdict.
    const onWaiting = (): void => {
      if (process.stderr.isTTY) say('Waiting for the witnesses to see the newest checkpoint…');
    };
    const asked = { url: address, token, trust, anchors, onWaiting };
    const verdict = withKept(await verifyVault(asked), kept);
    if (options.json) printData(JSON.stringify(verdict));
    else printExport(address, verdict);
    if (kept.faultCount > 0) sayKept(options.against);
    sayLimits(verdict);
    return codeOf(verdict.ok);
  } catch (error) {
    if (isAppError(error, 'config_invalid')) {
      sayError(error);
      return exitCodes.usage;
    }
    if (!isAppError(error, 'integrity_failure')) throw error;
    if (options.json) printData(JSON.stringify({ ok: false, fault: error.message }));
    else printData(`NOT OK\t${address}\t${error.message}`);
    return exitCodes.findings;
  }
};

/** Exit code 1 and the first bad index when anything does not agree; 3 when all that could be compared did, and not all could. */
export const verify = async (files: readonly string[], options: VerifyOptions): Promise<number> => {
  if (options.live !== undefined && files.length > 0) {
    say('Either files or --live.');
    return exitCodes.usage;
  }
  if (options.live !== undefined) return verifyRunning(options.live, options);
  return files.length > 0 ? verifyExports(files, options) : verifyDatabase(options);
};
