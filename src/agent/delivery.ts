import { headerFields } from '../core/ingest-headers.ts';
import { mayHoldNumber } from '../core/number-like.ts';

/**
 * What became of a delivery. `stored`: the vault has it, bit for bit; the file may go. `refused`: the vault will never take
 * it as it is; the file stays, and somebody has to look. `later`: the same delivery may succeed another time.
 */
export type Delivery =
  | { readonly outcome: 'stored'; readonly id: string; readonly created: boolean }
  | { readonly outcome: 'refused'; readonly code: string; readonly reason: string }
  | {
      readonly outcome: 'later';
      readonly code: string;
      readonly reason: string;
      /** What the vault asked for, in seconds. */
      readonly retryAfter: number | null;
      /** True where no delivery will succeed before somebody mends it: a wrong key, a full vault. */
      readonly stopped: boolean;
    };

/** An answer of the vault, read: `body` is JSON or null. It is the word of another machine, so nothing in it is trusted. */
export type Answer = {
  readonly status: number;
  readonly retryAfter: number | null;
  readonly body: unknown;
};

const field = (body: unknown, name: string): string | null => {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return null;
  const value = (body as Record<string, unknown>)[name];
  return typeof value === 'string' && value !== '' ? value.slice(0, 2_000) : null;
};

/** Words of another machine, as they may stand in a log: no control characters for a terminal, and no number. */
const sayable = (text: string | null): string | null => {
  if (text === null) return null;
  const line = text
    .replace(/\p{C}+/gu, ' ')
    .trim()
    .slice(0, 500);
  return line === '' || mayHoldNumber(line) ? null : line;
};

type Fault = { readonly where: string; readonly fault: string };

/** The faults of a problem, by field. */
const faultsOf = (body: unknown): readonly Fault[] => {
  const given = (body as { readonly faults?: unknown } | null)?.faults;
  if (!Array.isArray(given)) return [];
  return given.slice(0, 20).flatMap((one: unknown) => {
    const [where, fault] = [sayable(field(one, 'where')), sayable(field(one, 'fault'))];
    // Told as a header, which nobody here has written: as the field that it stands for.
    return where === null || fault === null ? [] : [{ where: headerFields.get(where) ?? where, fault }];
  });
};

/** A call from tomorrow: one of two clocks is wrong, and when that is mended the vault takes the call. */
const isOfTheClock = (code: string, faults: readonly Fault[]): boolean =>
  code === 'not_acceptable_metadata' &&
  faults.length > 0 &&
  faults.every(({ fault }) => /\bahead\b.*\bclock\b/.test(fault));

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Statuses that a later try may change; 401 and 403 are a matter of the key, which can be mended, never of the file. */
const LATER: ReadonlySet<number> = new Set([401, 403, 404, 405, 408, 425, 429, 507]);
/** Nothing at all gets through before somebody has mended it. */
const STOPPED: ReadonlySet<number> = new Set([401, 403, 404, 405, 507]);
/** The bytes changed on the way or the connection was cut: nothing is wrong with the file. */
const ON_THE_WAY: ReadonlySet<string> = new Set(['digest_mismatch', 'length_mismatch', 'client_closed']);

/** Closed sentences for what the vault cannot say itself, because it was not asked properly or is not a vault. */
const sentenceOf = (status: number, detail: string | null): string => {
  if (status === 401)
    return 'the vault does not know this key: see the source in the administration, and the key file';
  if (status === 403) return detail ?? 'the vault does not let this key upload';
  if (status === 404 || status === 405) return 'this address answers, but not as a vault does: check the URL';
  return detail ?? `the vault answered ${status}`;
};

const stored = (answer: Answer, sha256: string): Delivery => {
  const id = field(answer.body, 'id');
  const theirs = field(answer.body, 'sha256');
  if (id !== null && UUID.test(id) && theirs === sha256)
    return { outcome: 'stored', id, created: answer.status === 201 };
  return {
    outcome: 'later',
    code: 'unexpected_answer',
    reason:
      theirs !== null && theirs !== sha256
        ? 'the vault stored other bytes than were sent: the file changed meanwhile, or the line damaged it'
        : 'the answer is not that of a vault: check the URL',
    retryAfter: null,
    stopped: false,
  };
};

/** Reads the answer to an upload of bytes with this SHA-256 (hex). */
export const deliveryOf = (answer: Answer, sha256: string): Delivery => {
  const { status, retryAfter, body } = answer;
  if (status === 200 || status === 201) return stored(answer, sha256);
  const code = /^[a-z0-9_]{1,40}$/.exec(field(body, 'code') ?? '')?.[0] ?? `http_${status}`;
  const faults = faultsOf(body);
  const reason = [
    sentenceOf(status, sayable(field(body, 'detail'))),
    ...faults.map(({ where, fault }) => `${where} ${fault}`),
  ].join(' ');
  if (isOfTheClock(code, faults))
    return { outcome: 'later', code: 'clock', reason, retryAfter, stopped: false };
  if (status >= 500 || status < 400 || LATER.has(status) || ON_THE_WAY.has(code))
    return { outcome: 'later', code, reason, retryAfter, stopped: STOPPED.has(status) };
  return { outcome: 'refused', code, reason };
};

/** A delivery that got no answer at all. */
export const unanswered = (reason: string): Delivery => ({
  outcome: 'later',
  code: 'unreachable',
  reason,
  retryAfter: null,
  stopped: false,
});

/** Of a vault that nobody here vouches for. */
export const UNTRUSTED_CODE = 'untrusted_certificate';

/** What answered is not known to be the vault, and was told nothing: until an option says how it is known. */
export const untrusted = (reason: string): Delivery => ({
  outcome: 'later',
  code: UNTRUSTED_CODE,
  reason,
  retryAfter: null,
  stopped: true,
});
