import type { AuditReader } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import type { Anchor, Verdict } from '../core/audit/verify.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AuditEventOf } from '../core/events.ts';
import type { RecordVerification } from './record-verification.ts';

export type VerifyNightlyDeps = {
  /** Null when another process of this installation is at it already. */
  readonly verify: (options: {
    readonly anchors: readonly Anchor[];
    readonly onProgress: (seq: number, size: number) => void;
    readonly signal: AbortSignal;
  }) => Promise<Verdict | null>;
  readonly audit: Pick<AuditWriter, 'verifiedHead'>;
  readonly log: Pick<AuditReader, 'search'>;
  readonly record: RecordVerification;
  /** Tells the operator, whatever the log takes. */
  readonly alarm: (verdict: Verdict) => void;
  /** Local time. */
  readonly atHour: number;
  readonly now: () => number;
  /** Since when this vault serves; null for a command, which verifies nothing at night. */
  readonly since: number | null;
};

/** A verification of the whole log: when it ended, what it found, and whose it was. */
export type Verification = {
  readonly at: number;
  readonly ok: boolean;
  /** Entries that it looked at. */
  readonly size: number;
  readonly by: 'system' | 'operator';
};

/** By then two nights have gone by without one, and the vault's own attempts to make up for them. */
const OLD_MS = 3 * 86_400_000;
/** A vault that was off begins to make up for it within minutes, and has done it by now however long its log is. */
const MADE_UP_MS = 6 * 3_600_000;

/** For metrics: entries looked at so far by the verification that runs, and what the last one of this process found. */
export type VerificationStatus = {
  readonly running: { readonly done: number; readonly of: number } | null;
  readonly last: { readonly at: number; readonly ok: boolean; readonly size: number } | null;
};

/** The newest time at or before `now` at which the hour of the day began, by this machine's clock and zone. */
export const latestHour = (now: number, hour: number): number => {
  const at = new Date(now);
  at.setHours(hour, 0, 0, 0);
  if (at.getTime() > now) at.setDate(at.getDate() - 1);
  return at.getTime();
};

type Told = { readonly at: number; readonly event: AuditEventOf<'log.verified'> };

/** What the vault itself found last, in whichever process. Operators' own verifications are between. */
const lastOf = async ({ log }: Pick<VerifyNightlyDeps, 'log'>): Promise<Told | null> => {
  const { entries } = await log.search({
    audience: { scope: 'installation' },
    action: 'log.verified',
    limit: 100,
  });
  for (const { event } of entries)
    if (event.action === 'log.verified' && event.actor.type === 'system') return { at: event.at, event };
  return null;
};

const newestEntry = async ({ log }: Pick<VerifyNightlyDeps, 'log'>): Promise<Verification | null> => {
  const { entries } = await log.search({
    audience: { scope: 'installation' },
    action: 'log.verified',
    limit: 1,
  });
  const event = entries[0]?.event;
  if (event?.action !== 'log.verified') return null;
  const { size, ok } = event.detail;
  return { at: event.at, ok, size, by: event.actor.type === 'system' ? 'system' : 'operator' };
};

/** When the log began; 0 where that is so long ago that its entry is removed. */
const beginningOf = async ({ log }: Pick<VerifyNightlyDeps, 'log'>): Promise<number> => {
  const { entries } = await log.search({
    audience: { scope: 'installation' },
    action: 'installation.created',
    limit: 1,
  });
  return entries[0]?.event.at ?? 0;
};

/**
 * The whole access log, verified once after each `atHour`, by one process of the installation. What was found is an entry
 * `log.verified`; a fault is also an alarm for the operator, and a finding of the readiness until a night without one.
 */
export const createVerifyNightly = (deps: VerifyNightlyDeps) => {
  const { verify, audit, record, alarm, atHour, now, since } = deps;
  let status: VerificationStatus = { running: null, last: null };

  const isDue = async (): Promise<boolean> => {
    const wanted = latestHour(now(), atHour);
    const last = (await lastOf(deps))?.at ?? (await beginningOf(deps));
    return last < wanted && (status.last === null || status.last.at < wanted);
  };

  const run = async (signal: AbortSignal): Promise<Verdict | null> => {
    const head = audit.verifiedHead();
    const onProgress = (done: number, of: number): void => {
      status = { ...status, running: { done, of } };
    };
    try {
      return await verify({ anchors: head === null ? [] : [head], onProgress, signal });
    } finally {
      status = { ...status, running: null };
    }
  };

  /** What this process found counts also when the log took no entry of it. */
  const latest = async (): Promise<Verification | null> => {
    const entry = await newestEntry(deps);
    const own = status.last;
    return own !== null && own.at > (entry?.at ?? 0) ? { ...own, by: 'system' } : entry;
  };

  const assertSound = async (): Promise<void> => {
    const failed = status.last === null ? (await lastOf(deps))?.event.outcome === 'failed' : !status.last.ok;
    if (failed)
      throw new AppError(
        'integrity_failure',
        'The last nightly verification of the access log found a fault.',
      );
  };

  const isOld = async (last: Verification | null): Promise<boolean> =>
    since !== null && now() - since > MADE_UP_MS && now() - (last?.at ?? (await beginningOf(deps))) > OLD_MS;

  return {
    /**
     * Verifies when it is time and nobody else has; null when there was nothing to do. Rejects with `log_unavailable` when
     * the log cannot be read, or with the reason of `signal`: it is then still due. A log that takes no entry keeps neither
     * the verdict nor the alarm back.
     */
    whenDue: async (signal: AbortSignal): Promise<Verdict | null> => {
      if (!(await isDue())) return null;
      const verdict = await run(signal);
      if (verdict === null) return null;
      status = { running: null, last: { at: now(), ok: verdict.ok, size: verdict.size } };
      if (!verdict.ok) alarm(verdict);
      await record(verdict, 'system').catch((error: unknown) => {
        if (!isAppError(error)) throw error;
      });
      return verdict;
    },
    status: () => status,
    /** Rejects with `integrity_failure` when the vault's last verification found a fault, in this process or another. */
    assertSound,
    /** The newest verification of the whole log, in whichever process or at the command line; null when there was none. */
    latest,
    /**
     * For the readiness. Rejects with `integrity_failure` when the last night's, or the newest of all, found a fault;
     * resolves to `old` when none ended for three days although the vault was up for long enough to make one.
     */
    fault: async (): Promise<'old' | null> => {
      await assertSound();
      const last = await latest();
      if (last?.ok === false)
        throw new AppError('integrity_failure', 'The last verification of the access log found a fault.');
      return (await isOld(last)) ? 'old' : null;
    },
  };
};

export type VerifyNightly = ReturnType<typeof createVerifyNightly>;
