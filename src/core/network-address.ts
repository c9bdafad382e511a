import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Whether a host, as somebody wrote it, can only mean this machine. Deny by default: other spellings of a loopback address
 * (`127.1`, `2130706433`, `localhost.`), names that resolve to one today, and `0.0.0.0` are not loopback.
 */
export const isLoopbackHost = (host: string): boolean => {
  const family = isIP(host);
  if (family === 0 || host.includes('%')) return host.toLowerCase() === 'localhost';
  return loopback.check(host, family === 4 ? 'ipv4' : 'ipv6');
};

/**
 * Whether a peer is this machine or in one of `ranges` (valid ones: {@link proxyRangeFault}). `address` is what the system says
 * of a connection; IPv4 written as IPv6 (`::ffff:10.0.0.5`) counts as what it is. Without an address: no.
 */
export const peersOf = (ranges: readonly string[]): ((address: string | undefined) => boolean) => {
  const known = new BlockList();
  for (const range of ['127.0.0.0/8', '::1', ...ranges]) {
    const [address = '', prefix] = range.split('/');
    const [family, width] = isIP(address) === 4 ? (['ipv4', 32] as const) : (['ipv6', 128] as const);
    known.addSubnet(address, prefix === undefined ? width : Number(prefix), family);
  }
  return (address = '') => {
    const [bare = ''] = address.split('%');
    const family = isIP(bare);
    return family !== 0 && known.check(bare, family === 4 ? 'ipv4' : 'ipv6');
  };
};

/** Narrowest prefix that still is a set of proxies and not half of the internet. */
const SHORTEST_PREFIX = { 4: 8, 6: 32 } as const;

const MAPPED = '::ffff:0:0';
const MAPPED_PREFIX = 96;
const mapped = new BlockList();
mapped.addSubnet(MAPPED, MAPPED_PREFIX, 'ipv6');

/** Whether an IPv6 range holds IPv4 addresses, written as IPv6 (RFC 4291 §2.5.5.2): all of that internet is a single /96. */
const holdsIpv4 = (address: string, prefix: number): boolean => {
  const range = new BlockList();
  range.addSubnet(address, prefix, 'ipv6');
  return mapped.check(address, 'ipv6') || range.check(MAPPED, 'ipv6');
};

/** What is wrong with one address or CIDR range of trusted proxies, as the end of a sentence; null when nothing is. */
export const proxyRangeFault = (range: string): string | null => {
  const [address = '', prefix, ...rest] = range.split('/');
  const family = isIP(address);
  if (rest.length > 0 || (family !== 4 && family !== 6) || address.includes('%'))
    return `holds "${range}", which is neither an IP address nor a CIDR range`;
  if (prefix === undefined) return null;
  if (!/^(0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128))
    return `holds "${range}", whose prefix length is not a number from 0 to ${family === 4 ? 32 : 128}`;
  if (Number(prefix) < SHORTEST_PREFIX[family])
    return `holds "${range}", which trusts far more than proxies: the shortest prefix is /${SHORTEST_PREFIX[family]}`;
  if (family === 6 && holdsIpv4(address, Number(prefix)))
    return `holds "${range}", which are IPv4 addresses written as IPv6: name them as IPv4`;
  return null;
};
