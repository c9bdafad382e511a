import { isAppError } from '../core/errors.ts';
import type { Finding, Readiness } from './readiness.ts';
import type { Verification, VerifyNightly } from './verify-nightly.ts';

/** How far checkpoints of the access log have come. */
type Kept = {
  readonly size: number;
  readonly kept: number;
  readonly places: readonly {
    readonly where: string;
    readonly size: number;
    readonly weakness: string | null;
  }[];
  readonly witnesses: readonly { readonly name: string; readonly size: number }[];
};

/** What works and what does not, part by part; for the operator alone. Holds no secret, and nothing about anybody. */
export type Examination = {
  readonly ready: boolean;
  readonly findings: readonly Finding[];
  /** What is no fault and yet should be known, in sentences. */
  readonly notes: readonly string[];
  /** Null when the database cannot be asked, which a finding says. */
  readonly checkpoints: Kept | null;
  /** The newest of the whole access log; null when there was none yet, or the log cannot be asked, which a finding says. */
  readonly verification: Verification | null;
  readonly logKey: string;
};

export type ExamineVaultDeps = {
  readonly readiness: Pick<Readiness, 'current'>;
  readonly checkpoints: {
    readonly secondPlace: boolean;
    readonly logKey: string;
    readonly notCompared: readonly { readonly where: string; readonly fault: string }[];
    readonly status: () => Promise<Kept>;
  };
  readonly nightly: Pick<VerifyNightly, 'latest'>;
  /** What is wrong with what guards the access log in the database, in a few sentences; null when nothing is. */
  readonly guards: () => Promise<string | null>;
  /** Where room is wanted: how much is free there, and how much must be. */
  readonly room: { readonly folder: string; readonly floorBytes: number; freeBytes(): Promise<number> };
};

const MIB = 1024 * 1024;

const noRoom = async ({ folder, floorBytes, freeBytes }: ExamineVaultDeps['room']): Promise<string> =>
  `${Math.floor((await freeBytes()) / MIB)} MiB are free on the file system of ${folder}, and FREE_DISK_FLOOR asks for ${Math.ceil(floorBytes / MIB)}: make room there, or uploads stay refused (507).`;

const NO_SECOND_PLACE =
  'No second place keeps checkpoints of the access log: a database superuser could cut its tail unnoticed.';

const OLD_BUNDLE =
  'No bundle of wrapped keys was made for three times KEYS_EXPORT_MINUTES: newer recordings would be lost with the database. The log of the vault says why; npx callvault export-keys makes one now.';

const OLD_VERIFICATION =
  'No verification of the whole access log ended in the last three days, although the vault ran: its log says why; npx callvault verify makes one now.';

const FAULT_VERIFIED =
  'A verification of the access log found a fault: npx callvault verify names it. Keep this database as it is and call your security officer.';

const ofVerification = (findings: readonly Finding[]): readonly string[] => {
  const fault = findings.find(({ name }) => name === 'verification')?.fault;
  if (fault === 'old') return [OLD_VERIFICATION];
  return fault === 'integrity_failure' ? [FAULT_VERIFIED] : [];
};

/** Null when the log cannot be asked. */
const orNull = async <T>(asked: Promise<T>): Promise<T | null> => {
  try {
    return await asked;
  } catch (error) {
    if (!isAppError(error)) throw error;
    return null;
  }
};

/** What `callvault doctor` tells: of this very process, with the settings that it runs with. */
export const createExamineVault = (deps: ExamineVaultDeps) => {
  const { readiness, checkpoints, guards, room, nightly } = deps;
  /** Asked here and not for readiness: the answer costs the database more than a load balancer's polling is worth. */
  const guarded = async (): Promise<{ readonly finding: Finding; readonly note: string | null }> => {
    const own = { name: 'guards', advisory: true } as const;
    try {
      const note = await guards();
      return { finding: { ...own, fault: note === null ? null : 'integrity_failure' }, note };
    } catch (error) {
      if (!isAppError(error)) throw error;
      return { finding: { ...own, fault: error.code }, note: null };
    }
  };
  return async (): Promise<Examination> => {
    const judged = await readiness.current();
    const { finding, note } = await guarded();
    const { notCompared } = checkpoints;
    const isFull = judged.findings.some(({ fault }) => fault === 'storage_full');
    const isOld = judged.findings.some(({ name, fault }) => name === 'key_bundle' && fault === 'old');
    return {
      ...judged,
      findings: [
        ...judged.findings,
        finding,
        { name: 'checkpoints', advisory: true, fault: notCompared.length === 0 ? null : 'not_compared' },
      ],
      notes: [
        ...(note === null ? [] : [note]),
        ...(isFull ? [await noRoom(room)] : []),
        ...(isOld ? [OLD_BUNDLE] : []),
        ...ofVerification(judged.findings),
        ...notCompared.map(
          ({ where, fault }) => `The log was not compared with the checkpoints in ${where}: ${fault}`,
        ),
        // Of a place that is away nobody can say whether it is one.
        ...(checkpoints.secondPlace || notCompared.length > 0 ? [] : [NO_SECOND_PLACE]),
      ],
      checkpoints: await orNull(checkpoints.status()),
      verification: await orNull(nightly.latest()),
      logKey: checkpoints.logKey,
    };
  };
};

export type ExamineVault = ReturnType<typeof createExamineVault>;
