import { isIPv4, isIPv6 } from 'node:net';

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
const IPV6_PREFIX_GROUPS = 4;

const networkOfIPv4 = (address: string): string => `${address.split('.').slice(0, 3).join('.')}.0/24`;

const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));

/** The first four groups; a trailing dotted quad stands in the last two and so never among them. */
const networkOfIPv6 = (address: string): string => {
  const [head = '', tail] = address.split('::');
  const before = groups(head);
  if (tail !== undefined) {
    const after = groups(tail);
    const quad = after.at(-1)?.includes('.') === true ? 1 : 0;
    const missing = 8 - before.length - after.length - quad;
    before.push(...Array<string>(missing).fill('0'), ...after);
  }
  const network = before
    .slice(0, IPV6_PREFIX_GROUPS)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
  return `${network}::/64`;
};

/**
 * The network an address lies in, as one place: /24 of IPv4 (also when written as IPv6), /64 of IPv6, which is what one
 * household or ward is given. `unknown` for anything that is not an address.
 */
export const addressPrefix = (address: string): string => {
  const plain = address.split('%', 1)[0] ?? '';
  const mapped = MAPPED_IPV4.exec(plain)?.[1] ?? plain;
  if (isIPv4(mapped)) return networkOfIPv4(mapped);
  return isIPv6(mapped) ? networkOfIPv6(mapped) : 'unknown';
};
