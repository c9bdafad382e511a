const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * `Retry-After` (RFC 9110 §10.2.3), which is attacker-controlled: whole seconds from `now` (milliseconds since 1970) on, never
 * more than `most`; null when it says nothing that is understood.
 */
export const retryAfterSeconds = (text: string | undefined, now: number, most: number): number | null => {
  const given = text?.trim() ?? '';
  const seconds = /^\d{1,15}$/.test(given)
    ? Number(given)
    : IMF_FIXDATE.test(given)
      ? Math.ceil((Date.parse(given) - now) / 1000)
      : Number.NaN;
  return Number.isNaN(seconds) ? null : Math.min(Math.max(seconds, 0), most);
};
