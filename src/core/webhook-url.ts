import { isIP } from 'node:net';
import { isPublicAddress } from './public-address.ts';

const MAX_CHARS = 2000;
const DEFAULT_PORT = '443';

/** `host:port` of a URL, the port always named: what the operator's list of internal receivers is compared with. */
export const authorityOf = ({ hostname, port }: URL): string => `${hostname}:${port || DEFAULT_PORT}`;

/** One entry of that list, as it is compared; null for what is none. */
export const allowedAuthority = (text: string): string | null => {
  if (!/^[A-Za-z0-9.-]{1,253}(:\d{1,5})?$/.test(text)) return null;
  try {
    return authorityOf(new URL(`https://${text}`));
  } catch {
    return null;
  }
};

/** The host without the brackets of IPv6. */
export const bareHost = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '');

/**
 * The address of a receiver in its one spelling, or what is wrong with it as the end of a sentence. The text is
 * attacker-controlled; other spellings of an address (`0x7f.1`, `2130706433`) count as what they mean. That a name leads to a
 * public address is looked at when it is asked, each time.
 */
export const webhookUrl = (
  text: string,
  allowed: ReadonlySet<string>,
): { readonly url: string } | { readonly fault: string } => {
  if (text.length > MAX_CHARS || !URL.canParse(text))
    return { fault: `is no URL of at most ${MAX_CHARS} characters` };
  const url = new URL(text);
  if (url.protocol !== 'https:') return { fault: 'must begin with https://' };
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    return { fault: 'must have neither user, password nor fragment' };
  const host = bareHost(url);
  const named = isIP(host) === 0;
  const isLocal = named && (!host.includes('.') || /(^|\.)(localhost|local|internal)\.?$/i.test(host));
  if (!allowed.has(authorityOf(url)) && (isLocal || (!named && !isPublicAddress(host))))
    return { fault: 'leads into a private network; the operator may permit it (WEBHOOK_HOSTS)' };
  return { url: url.href };
};
