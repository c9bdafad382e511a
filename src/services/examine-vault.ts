import { isAppError } from '../core/errors.ts';
import type { Finding, Readiness } from './readiness.ts';

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

/** What `callvault doctor` tells: of this very process, with the settings that it runs with. */
export const createExamineVault = ({ readiness, checkpoints, guards, room }: ExamineVaultDeps) => {
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
  const status = async (): Promise<Kept | null> => {
    try {
      return await checkpoints.status();
    } catch (error) {
      if (!isAppError(error)) throw error;
      return null;
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
        ...notCompared.map(
          ({ where, fault }) => `The log was not compared with the checkpoints in ${where}: ${fault}`,
        ),
        // Of a place that is away nobody can say whether it is one.
        ...(checkpoints.secondPlace || notCompared.length > 0 ? [] : [NO_SECOND_PLACE]),
      ],
      checkpoints: await status(),
      logKey: checkpoints.logKey,
    };
  };
};

export type ExamineVault = ReturnType<typeof createExamineVault>;
