import { expect, test } from 'vitest';
import { isLoopbackHost, peersOf, proxyRangeFault } from '../../../src/core/network-address.ts';

test.each([
  'localhost',
  'LocalHost',
  '127.0.0.1',
  '127.255.255.254',
  '::1',
  '0:0:0:0:0:0:0:1',
  '::ffff:127.0.0.1',
])('%s is this machine', (host) => {
  expect(isLoopbackHost(host)).toBe(true);
});

test.each([
  '',
  '*',
  '0',
  '0.0.0.0',
  '::',
  '::ffff:0.0.0.0',
  '127.1',
  '0177.0.0.1',
  '2130706433',
  '127.0.0.1.',
  ' 127.0.0.1',
  'localhost.',
  'localhost.localdomain',
  'ip6-localhost',
  '128.0.0.1',
  '10.0.0.1',
  'fe80::1',
  '::1%eth0',
  '::2',
])('"%s" is not taken for this machine', (host) => {
  expect(isLoopbackHost(host)).toBe(false);
});

test.each([
  '10.0.0.5',
  '10.0.0.0/8',
  '192.168.1.0/24',
  '203.0.113.7/32',
  '2001:db8::/32',
  '::1',
  'fd00::1/128',
  '::fffe:0:0/96',
  '::1/128',
])('%s can be a proxy', (range) => {
  expect(proxyRangeFault(range)).toBeNull();
});

test.each([
  ['', /neither/],
  ['true', /neither/],
  ['*', /neither/],
  ['1', /neither/],
  ['loopback', /neither/],
  ['uniquelocal', /neither/],
  ['proxy.example.org', /neither/],
  ['10.0.0.0/8/8', /neither/],
  ['fe80::1%eth0', /neither/],
  ['10.0.0.1/', /prefix/],
  ['10.0.0.1/33', /prefix/],
  ['10.0.0.1/08', /prefix/],
  ['10.0.0.1/-1', /prefix/],
  ['10.0.0.1/255.0.0.0', /prefix/],
  ['2001:db8::/129', /prefix/],
  ['0.0.0.0/0', /far more/],
  ['::/0', /far more/],
  ['128.0.0.0/1', /far more/],
  ['2000::/3', /far more/],
  ['::/32', /name them as IPv4/],
  ['::/80', /name them as IPv4/],
  ['::ffff:0:0/96', /name them as IPv4/],
  ['::ffff:0.0.0.0/96', /name them as IPv4/],
  ['::ffff:10.0.0.0/120', /name them as IPv4/],
])('"%s" is no set of proxies', (range, reason) => {
  expect(proxyRangeFault(range)).toMatch(reason);
});

test.each([
  '127.0.0.1',
  '127.9.9.9',
  '::1',
  '::ffff:127.0.0.1',
  '10.1.0.77',
  '::ffff:10.1.0.1',
  '2001:db8::7',
])('HSLF-4 %s may come without TLS: this machine or a listed proxy', (address) => {
  expect(peersOf(['10.1.0.0/24', '10.0.0.5', '2001:db8::/64'])(address)).toBe(true);
});

test.each([
  '10.1.1.1',
  '10.0.0.6',
  '::ffff:10.0.0.6',
  '2001:db8:1::7',
  '0.0.0.0',
  '::',
  '198.51.100.1',
  '',
  'x',
])('HSLF-4 "%s" may not', (address) => {
  const peer = peersOf(['10.1.0.0/24', '10.0.0.5', '2001:db8::/64']);
  expect([peer(address), peer(undefined)]).toEqual([false, false]);
  expect(peersOf([])(address)).toBe(false);
});
