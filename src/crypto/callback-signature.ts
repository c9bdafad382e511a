import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Whether one of the texts is what the base64 of HMAC-SHA1 in `signature`, which is attacker-controlled, was made over with
 * the token. All are looked at, each in constant time.
 */
export const isSignedText = (token: string, texts: readonly string[], signature: string): boolean => {
  const given = Buffer.from(signature, 'latin1');
  return texts
    .map((text) => {
      const made = Buffer.from(createHmac('sha1', token).update(text, 'utf8').digest('base64'), 'latin1');
      return made.length === given.length && timingSafeEqual(made, given);
    })
    .includes(true);
};
