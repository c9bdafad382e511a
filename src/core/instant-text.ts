import { isWallTime, type WallClock } from './local-time.ts';

/** Seconds since 1970, from 2001 on: a telephone number in the wrong column is none. */
const EPOCH = /^[12]\d{9}$/;
const STAMP = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?$/;

/**
 * A time as telephony systems write it (2026-03-01 08:15:30, with or without an offset; seconds since 1970) in RFC 3339: null for
 * what is none; `zone` for one that nobody can place without knowing the zone.
 */
export const instantOfText = (text: string, clock: WallClock | null): string | null | 'zone' => {
  if (EPOCH.test(text)) return new Date(Number(text) * 1000).toISOString();
  const [, year, month, day, hour, minute, second, offset] = STAMP.exec(text) ?? [];
  const [y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0] = [year, month, day, hour, minute, second].map(Number);
  const wall = { year: y, month: mo, day: d, hour: h, minute: mi, second: s };
  if (year === undefined || !isWallTime(wall)) return null;
  if (offset === undefined) return clock === null ? 'zone' : new Date(clock(wall)).toISOString();
  if (offset === 'Z') return new Date(`${text.slice(0, 10)}T${text.slice(11, 19)}Z`).toISOString();
  const [hours, minutes] = [offset.slice(0, 3), offset.slice(3).replace(':', '') || '00'];
  const at = Date.parse(`${text.slice(0, 10)}T${text.slice(11, 19)}${hours}:${minutes}`);
  return Number.isNaN(at) ? null : new Date(at).toISOString();
};
