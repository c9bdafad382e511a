import { Value } from 'typebox/value';
import { AnnouncedCallSchema, MAX_ANNOUNCED, type UnrecordedReason } from './announced-call-schema.ts';
import { AppError } from './errors.ts';
import type { Direction } from './metadata-schema.ts';
import { showableName } from './number-like.ts';
import { canonicalPhone, type PhoneNumber } from './phone.ts';

/** A call as its source announces it: numbers canonical, times in milliseconds since 1970 UTC, what was not said null. */
export type AnnouncedCall = {
  readonly callId: string;
  readonly startedAt: number;
  readonly endedAt: number | null;
  /** When it is over, or must be: from then on its recording is waited for. */
  readonly overAt: number;
  readonly direction: Direction | null;
  readonly callerNumber: PhoneNumber | null;
  readonly calledNumber: PhoneNumber | null;
  /** Whether it should have been recorded. */
  readonly expected: boolean;
  readonly reason: UnrecordedReason | null;
  /** How long its recording should be. */
  readonly expectedMs: number | null;
  /** One row of call records, of which a call may have several: it adds to what is known of the call and takes nothing back. */
  readonly isLeg: boolean;
};

export type CallFault = { readonly where: string; readonly fault: string };
export type ReadCall = { readonly call: AnnouncedCall } | { readonly faults: readonly CallFault[] };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A call without an end and without a length is taken to be over by then. */
const LONGEST_OPEN_MS = 4 * HOUR_MS;
const MAX_FAULTS = 20;

type Name = keyof typeof AnnouncedCallSchema.properties;
const schemas = AnnouncedCallSchema.properties;
const isName = (name: string): name is Name => Object.hasOwn(schemas, name);
const sentenceOf = (name: Name): string =>
  (schemas[name] as unknown as { readonly description: string }).description;
const isReadable = (value: unknown): boolean => typeof value !== 'string' || value.isWellFormed();

type Given = {
  readonly callId: string;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly direction?: Direction;
  readonly callerNumber?: string;
  readonly calledNumber?: string;
  readonly expectedDurationMs?: number;
  readonly recorded?: 'expected' | 'not_expected';
  readonly reason?: UnrecordedReason;
};

const formFaults = (input: Readonly<Record<string, unknown>>): CallFault[] => {
  const faults: CallFault[] = [];
  for (const name of Object.keys(input)) {
    if (!isName(name))
      faults.push({ where: showableName(name) ?? 'an unknown field', fault: 'is not a known field' });
    else if (!Value.Check(schemas[name], input[name]) || !isReadable(input[name]))
      faults.push({ where: name, fault: sentenceOf(name) });
  }
  for (const name of ['callId', 'startedAt'])
    if (!Object.hasOwn(input, name)) faults.push({ where: name, fault: 'is required' });
  return faults.slice(0, MAX_FAULTS);
};

const timeFaults = (started: number, ended: number | null, now: number): CallFault[] => {
  const faults: CallFault[] = [];
  const ahead = now + DAY_MS;
  if (started < 0 || started > ahead)
    faults.push({ where: 'startedAt', fault: 'lies before 1970 or more than a day ahead' });
  if (ended !== null && (ended < started || ended > ahead))
    faults.push({ where: 'endedAt', fault: 'lies before the start of the call or more than a day ahead' });
  return faults;
};

const callOf = (given: Given, started: number, ended: number | null): AnnouncedCall => {
  const expected = given.recorded !== 'not_expected';
  const expectedMs = given.expectedDurationMs ?? (ended === null ? null : ended - started);
  return {
    callId: given.callId,
    startedAt: started,
    endedAt: ended,
    overAt: ended ?? started + (expectedMs ?? LONGEST_OPEN_MS),
    direction: given.direction ?? null,
    callerNumber: given.callerNumber === undefined ? null : canonicalPhone(given.callerNumber),
    calledNumber: given.calledNumber === undefined ? null : canonicalPhone(given.calledNumber),
    expected,
    reason: given.reason ?? null,
    expectedMs,
    isLeg: false,
  };
};

/**
 * Reads one call, which is attacker-controlled: every known field is looked up by its own name, and no fault repeats a
 * value. `now` is milliseconds since 1970. Without `recorded` a recording is expected; without `expectedDurationMs` it
 * should be as long as the call.
 */
export const readAnnouncedCall = (input: unknown, now: number): ReadCall => {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return { faults: [{ where: 'call', fault: 'must be a JSON object' }] };
  const faults = formFaults(input as Record<string, unknown>);
  if (faults.length > 0) return { faults };
  const given = input as Given;
  const started = Date.parse(given.startedAt);
  const ended = given.endedAt === undefined ? null : Date.parse(given.endedAt);
  faults.push(...timeFaults(started, ended, now));
  if (given.reason !== undefined && given.recorded !== 'not_expected')
    faults.push({ where: 'reason', fault: 'is of calls that are not_expected to be recorded' });
  return faults.length > 0 ? { faults } : { call: callOf(given, started, ended) };
};

const refused = (faults: readonly CallFault[]): AppError =>
  new AppError('invalid_request', 'The announcement cannot be accepted; nothing of it was kept.', {
    faults: faults.slice(0, MAX_FAULTS),
  });

const batchOf = (input: unknown): readonly unknown[] | null => {
  if (typeof input !== 'object' || input === null || Array.isArray(input) || !Object.hasOwn(input, 'calls'))
    return null;
  const { calls, ...others } = input as Record<string, unknown>;
  if (Object.keys(others).length > 0) throw refused([{ where: 'body', fault: 'holds more than calls' }]);
  if (!Array.isArray(calls) || calls.length === 0 || calls.length > MAX_ANNOUNCED)
    throw refused([{ where: 'calls', fault: `must be a list of 1 to ${MAX_ANNOUNCED} calls` }]);
  return calls;
};

/** One call or `{calls: […]}`, whole or not at all: `invalid_request` names the faults of all, 20 at most. */
export const readAnnouncement = (input: unknown, now: number): readonly AnnouncedCall[] => {
  const batch = batchOf(input);
  const faults: CallFault[] = [];
  const calls: AnnouncedCall[] = [];
  for (const [n, one] of (batch ?? [input]).entries()) {
    const read = readAnnouncedCall(one, now);
    if ('call' in read) calls.push(read.call);
    else
      faults.push(
        ...read.faults.map(({ where, fault }) => ({
          where: batch === null ? where : `calls[${n}].${where}`,
          fault,
        })),
      );
    if (faults.length >= MAX_FAULTS) break;
  }
  if (faults.length > 0) throw refused(faults);
  return calls;
};
