import type { CallFields } from '../call-fields.ts';
import type { DeliveryGate, Finding } from '../delivery-gate.ts';
import type { OpenFile } from '../file-digest.ts';
import { mediaTypeOf } from '../media-types.ts';
import type { VaultClient } from '../vault-client.ts';
import type { VaultQuestions } from '../vault-questions.ts';
import { type CallOf, nameOf } from './call-of.ts';
import type { CheckUnits } from './care-units.ts';
import type { ImportFault, JournalEntry } from './journal.ts';

export type Waiting = {
  readonly code: string;
  /** The same in words; undefined where the vault was only asked. */
  readonly reason: string | undefined;
  readonly pauseMs: number;
};

export type DeliverFileDeps = {
  readonly client: Pick<VaultClient, 'upload' | 'ask'>;
  readonly questions: Pick<VaultQuestions, 'verify'>;
  readonly gate: DeliveryGate;
  readonly callOf: CallOf;
  /** Whether the vault knows the care units that calls will be said to be of. */
  readonly checkUnits: CheckUnits;
  /** The vault takes nothing now; throws when the import has waited long enough. */
  readonly onWaiting: (waiting: Waiting) => void;
};

/** Tries of one file that count ({@link createDeliverFile}): then it is the file's matter. */
const MAX_TRIES = 5;
/** The same where the vault asks for patience, or refuses as it would every file: a proxy can do so for one alone. */
const MAX_PATIENT_TRIES = 50;

/** What is known of a file besides its bytes. */
export type Told = {
  readonly relative: Buffer;
  readonly sha256: string;
  /** What its side file says; null: it has none. */
  readonly side: CallFields | null;
};

export type Fault = {
  readonly outcome: ImportFault;
  readonly code?: string;
  /** The same in words, which repeat no value. */
  readonly reason?: string;
};
type Later = {
  readonly outcome: 'later';
  readonly code: string;
  readonly retryAfter: number | null;
  readonly stopped: boolean;
  readonly reason?: string;
};
export type Verified = Pick<JournalEntry, 'sha256' | 'recording' | 'created' | 'resent' | 'side'> & {
  readonly outcome: 'verified';
  readonly reason?: never;
};
type Try = Verified | Fault | Later;

const isPatient = ({ stopped, retryAfter, code }: Later): boolean =>
  stopped || retryAfter !== null || code === 'unauthenticated' || code === 'clock';

/** Whether the vault may have stored it all the same. `in_progress`: another delivery of these bytes is under way there. */
const mayBeStored = ({ stopped, code }: Later): boolean => !stopped && code !== 'in_progress';

/**
 * Hands one file over, as often as it takes. A vault that is away, full or asks for patience is no matter of the file: tries
 * count when it answers for others meanwhile, or says that it is well, so that no single file keeps an import from its end. Throws
 * the signal's reason, what `checkUnits` and `onWaiting` throw, and what reading does.
 */
export const createDeliverFile = (deps: DeliverFileDeps) => {
  const { client, questions, gate, callOf, checkUnits, onWaiting } = deps;
  /** Bytes, then what lies in the vault: only a digest that the vault reckons from its store makes a file verified. */
  const tryOnce = async (
    file: OpenFile,
    { relative, sha256, side }: Told,
    signal: AbortSignal,
  ): Promise<Try> => {
    const unsaid = await checkUnits(signal);
    if (unsaid !== null) return unsaid;
    const name = nameOf(relative);
    const delivery = await client.upload({
      open: () => file.read(),
      disposable: true,
      bytes: file.bytes,
      sha256,
      mediaType: mediaTypeOf(name) ?? 'application/octet-stream',
      metadata: callOf(relative, file, sha256, side),
      signal,
    });
    if (delivery.outcome === 'refused') {
      const { outcome, code, reason } = delivery;
      return { outcome, code, reason };
    }
    if (delivery.outcome === 'later') return delivery;
    const { id, created } = delivery;
    const verified = await questions.verify(id, { sha256, bytes: file.bytes }, signal);
    if (verified.outcome === 'denied') return { outcome: 'damaged_in_vault', code: verified.code };
    if (verified.outcome === 'later') return { ...verified, stopped: false };
    return { outcome: 'verified', sha256, recording: id, created };
  };

  /** Deliveries that the vault has answered for. */
  let answered = 0;
  const counts = async (later: Later, before: number, signal: AbortSignal): Promise<boolean> => {
    if (answered !== before) return true;
    if (isPatient(later)) return false;
    if (later.code !== 'unreachable') return true;
    return (await client.ask('GET', '/healthz', { signal }))?.status === 200;
  };

  return async (file: OpenFile, told: Told, signal: AbortSignal): Promise<Verified | Fault> => {
    let isSentBefore = false;
    for (let tries = 1; ; ) {
      const before = answered;
      const passage = await gate.enter(signal);
      if (passage === null) throw signal.reason;
      let finding: Finding = 'nothing';
      let result: Try;
      let pauseMs = 0;
      try {
        result = await tryOnce(file, told, signal);
        finding = result.outcome !== 'later' ? 'answers' : { retryAfter: result.retryAfter };
      } finally {
        pauseMs = gate.leave(passage, finding);
      }
      if (result.outcome !== 'later') {
        answered += 1;
        if (result.outcome !== 'verified' || result.created !== false || !isSentBefore) return result;
        return { ...result, resent: true };
      }
      isSentBefore ||= mayBeStored(result);
      onWaiting({ code: result.code, reason: result.reason, pauseMs });
      if (!(await counts(result, before, signal))) continue;
      if (tries >= (isPatient(result) ? MAX_PATIENT_TRIES : MAX_TRIES))
        return {
          outcome: 'undelivered',
          code: result.code,
          ...(result.reason === undefined ? {} : { reason: result.reason }),
        };
      tries += 1;
    }
  };
};

export type DeliverFile = ReturnType<typeof createDeliverFile>;
