const MAX_EMAIL = 254;
const MAX_NAME = 200;
// One @, no white space or control characters, a dot in the domain: enough to catch typing errors, no more is knowable.
const EMAIL = /^[^\s@\p{C}]{1,64}@[^\s@\p{C}]{1,189}\.[^\s@\p{C}.]{1,63}$/u;

/** The one spelling under which an account is stored and looked up; null for what is not an e-mail address. */
export const canonicalEmail = (text: string): string | null => {
  if (text.length > MAX_EMAIL) return null;
  const email = text.normalize('NFC').trim().toLowerCase();
  return EMAIL.test(email) ? email : null;
};

/** A name of a person, unit, source or organisation in one spelling; null when empty, too long or unreadable. */
export const canonicalName = (text: string): string | null => {
  if (text.length > MAX_NAME) return null;
  const name = text.normalize('NFC').replace(/\s+/gu, ' ').trim();
  return name === '' || /\p{C}/u.test(name) ? null : name;
};
