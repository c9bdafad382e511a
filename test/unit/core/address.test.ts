import { describe, expect, test } from 'vitest';
import { addressPrefix } from '../../../src/core/address.ts';

describe('the network an address lies in', () => {
  test.each([
    ['192.0.2.77', '192.0.2.0/24'],
    ['192.0.2.1', '192.0.2.0/24'],
    ['::ffff:192.0.2.77', '192.0.2.0/24'],
    ['::FFFF:192.0.2.77', '192.0.2.0/24'],
    ['127.0.0.1', '127.0.0.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['2001:db8:1:2:3:4:192.0.2.1', '2001:db8:1:2::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ])('%s lies in %s', (address, prefix) => {
    expect(addressPrefix(address)).toBe(prefix);
  });

  test.each([
    '',
    'localhost',
    '192.0.2',
    '192.0.2.256',
    '1:2:3',
    ':::',
    'x'.repeat(100_000),
    '1.2.3.4, 5.6.7.8',
  ])('what is no address is one unknown place', (text) => {
    expect(addressPrefix(text)).toBe('unknown');
  });

  test('two addresses of one /64 are one place, of two /64 are two', () => {
    expect(addressPrefix('2001:db8::a')).toBe(addressPrefix('2001:db8:0:0:ffff:ffff:ffff:ffff'));
    expect(addressPrefix('2001:db8::a')).not.toBe(addressPrefix('2001:db8:0:1::a'));
  });
});
