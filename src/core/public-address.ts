import { BlockList, isIP } from 'node:net';

/**
 * Addresses that are nobody's on the internet (IANA's special-purpose registries), and the two by which clouds answer their
 * own machines although the address looks like anybody's.
 */
const special4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['168.63.129.16', 32],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
/** Of what is given out at all (2000::/3): Teredo and other protocols, documentation, and IPv4 in disguise (6to4). */
const special6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

const listOf = (ranges: typeof special4, family: 'ipv4' | 'ipv6'): BlockList => {
  const list = new BlockList();
  for (const [address, prefix] of ranges) list.addSubnet(address, prefix, family);
  return list;
};

const refused4 = listOf(special4, 'ipv4');
const refused6 = listOf(special6, 'ipv6');
const given6 = listOf([['2000::', 3]], 'ipv6');

/**
 * Whether an address is somebody's on the internet, and cannot be this machine, its network or its cloud. Deny by default: of
 * IPv6 only what is given out, so that IPv4 written as IPv6 (`::ffff:10.0.0.5`, `64:ff9b::a00:5`) is none.
 */
export const isPublicAddress = (address: string): boolean => {
  const family = isIP(address);
  if (family === 4) return !refused4.check(address, 'ipv4');
  if (family !== 6 || address.includes('%')) return false;
  return given6.check(address, 'ipv6') && !refused6.check(address, 'ipv6');
};
