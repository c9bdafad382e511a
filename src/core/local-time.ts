/** A time as a clock on the wall shows it. Months and days count from 1. */
export type WallTime = {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
};

const DAY_MS = 86_400_000;

const asIfUtc = ({ year, month, day, hour, minute, second }: WallTime): number =>
  Date.UTC(year, month - 1, day, hour, minute, second);

/** False for 31 June, for 24:00 and for years in which nobody recorded calls. */
export const isWallTime = (wall: WallTime): boolean => {
  if (wall.year < 1970 || wall.year > 2199) return false;
  const date = new Date(asIfUtc(wall));
  return (
    date.getUTCMonth() + 1 === wall.month &&
    date.getUTCDate() === wall.day &&
    date.getUTCHours() === wall.hour &&
    date.getUTCMinutes() === wall.minute &&
    date.getUTCSeconds() === wall.second
  );
};

/** Whether the name is of a time zone, such as Europe/Stockholm. Attacker-controlled names are fine. */
export const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: name });
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
};

/**
 * Reads clocks of one time zone, which must be one ({@link isTimeZone}). Answers milliseconds since 1970, UTC.
 *
 * - An hour that happens twice, in autumn: the one nearer to `near`, and without that the first (summer time).
 * - An hour that does not happen, in spring: a clock that was not put forward showed it, so it counts as the winter time
 *   that it continues: 02:30 is the moment at which a right clock shows 03:30.
 */
export const createWallClock = (timeZone: string) => {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  /** How far the zone is ahead of UTC at a moment, in milliseconds. */
  const offsetAt = (at: number): number => {
    const parts: Partial<Record<string, number>> = {};
    for (const { type, value } of format.formatToParts(at)) parts[type] = Number(value);
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts;
    return asIfUtc({ year, month, day, hour, minute, second }) - at;
  };
  return (wall: WallTime, near: number | null = null): number => {
    const shown = asIfUtc(wall);
    const [before, after] = [offsetAt(shown - DAY_MS), offsetAt(shown + DAY_MS)];
    // Later offset first: in an hour that happens twice it is the earlier moment.
    const candidates = [...new Set([shown - Math.max(before, after), shown - Math.min(before, after)])];
    const real = candidates.filter((at) => at + offsetAt(at) === shown);
    const [first = shown - before, second = first] = real;
    if (near === null) return first;
    return Math.abs(second - near) < Math.abs(first - near) ? second : first;
  };
};

export type WallClock = ReturnType<typeof createWallClock>;
