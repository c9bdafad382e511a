import personnummer from 'personnummer';

// The package is CommonJS and exports the class itself, which its type declarations do not say.
const library = personnummer as unknown as { valid(pin: string): boolean };

/** Century (optional), date, separator (optional), number. */
const SHAPE = /^(\d{2})?(\d{6})([-+]?)(\d{4})$/;
const DAY_OF_COORDINATION = 60;

export type PersonalNumberResult = { readonly canonical: string } | { readonly fault: string };

/**
 * A Swedish personal identity or coordination number as 12 digits, or why it is none. Ten digits are of the last hundred
 * years before `now` (milliseconds since 1970), with `+` of the hundred before. Reserve numbers are regional, have no
 * check, and are refused. The fault never repeats any part of the number, which is attacker-controlled.
 */
export const canonicalPersonalNumber = (raw: string, now: number): PersonalNumberResult => {
  const match = SHAPE.exec(raw.length > 32 ? '' : raw.replace(/\s/g, ''));
  if (match === null)
    return { fault: 'is not written as a personal identity number: 10 or 12 digits, with or without - or +' };
  const [, century, date, separator, number] = match as unknown as [
    string,
    string | undefined,
    string,
    string,
    string,
  ];
  const today = new Date(now).toISOString().slice(0, 10).replaceAll('-', '');
  const canonical = `${century ?? centuryOf(date, separator, today)}${date}${number}`;
  if (!library.valid(canonical))
    return { fault: 'is no personal identity number: its date or its check digit is wrong' };
  if (birthDate(canonical) > today)
    return { fault: 'is no personal identity number: its date lies in the future' };
  return { canonical };
};

const centuryOf = (date: string, separator: string, today: string): string => {
  const current = Number(today.slice(0, 2));
  const youngest = birthDate(`${current}${date}`) <= today ? current : current - 1;
  return String(separator === '+' ? youngest - 1 : youngest);
};

/** Year, month and day as digits that sort; the day of a coordination number is raised by sixty. */
const birthDate = (digits: string): string => {
  const day = Number(digits.slice(6, 8));
  const calendarDay = day > DAY_OF_COORDINATION ? day - DAY_OF_COORDINATION : day;
  return digits.slice(0, 6) + String(calendarDay).padStart(2, '0');
};
