import type { AnnouncedCall } from './announced-call.ts';

/** The only reason that another leg of the same call takes back: who declined did so for the whole call. */
const NOT_ANSWERED = 'not_answered';

const least = <T extends number | null>(a: T, b: T): T => (a === null ? b : b === null || a < b ? a : b);
const most = <T extends number | null>(a: T, b: T): T => (a === null ? b : b === null || a > b ? a : b);

/** Longest of what was answered; how long it rang at somebody who did not answer is no length of a recording. */
const expectedMsOf = (a: AnnouncedCall, b: AnnouncedCall): number | null =>
  a.expected === b.expected ? most(a.expectedMs, b.expectedMs) : a.expected ? a.expectedMs : b.expectedMs;

const isOpen = ({ endedAt, expectedMs }: AnnouncedCall): boolean => endedAt === null && expectedMs === null;
/** Of a call of which neither end nor length is known, when it is over is a guess. */
const overAtOf = (a: AnnouncedCall, b: AnnouncedCall): number =>
  isOpen(a) ? b.overAt : isOpen(b) ? a.overAt : Math.max(a.overAt, b.overAt);

/** A call and one more of its legs. storage/call-table.ts does the same with what is kept already. */
const withLeg = (call: AnnouncedCall, leg: AnnouncedCall): AnnouncedCall => {
  const expected = call.expected || (leg.expected && call.reason === NOT_ANSWERED);
  return {
    ...call,
    startedAt: least(call.startedAt, leg.startedAt),
    endedAt: most(call.endedAt, leg.endedAt),
    overAt: overAtOf(call, leg),
    direction: call.direction ?? leg.direction,
    callerNumber: call.callerNumber ?? leg.callerNumber,
    calledNumber: call.calledNumber ?? leg.calledNumber,
    expected,
    reason: expected ? null : call.reason,
    expectedMs: expected ? expectedMsOf(call, leg) : call.expectedMs,
  };
};

/**
 * Calls of which each is named once, in the order in which they are first named. A queue, a transfer or a second attempt gives a
 * call several rows of records (`isLeg`), and no order of them says what became of it: it was answered if one was, is as long
 * as the longest that was, and lies between the first start and the last end. Any other announcement replaces what stood before.
 */
export const mergeLegs = (calls: readonly AnnouncedCall[]): readonly AnnouncedCall[] => {
  const merged = new Map<string, AnnouncedCall>();
  for (const call of calls) {
    const before = merged.get(call.callId);
    merged.set(call.callId, before !== undefined && call.isLeg ? withLeg(before, call) : call);
  }
  return [...merged.values()];
};
