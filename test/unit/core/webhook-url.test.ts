import { describe, expect, test } from 'vitest';
import { isPublicAddress } from '../../../src/core/public-address.ts';
import { afterAttempt, GIVEN_UP_AFTER_MS } from '../../../src/core/webhook-pauses.ts';
import { allowedAuthority, webhookUrl } from '../../../src/core/webhook-url.ts';

const none: ReadonlySet<string> = new Set();

describe('addresses', () => {
  test.each([
    ...['127.0.0.1', '127.255.1.1', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
    ...['169.254.169.254', '100.64.0.1', '100.100.100.200', '168.63.129.16', '192.0.0.192', '198.18.0.1'],
    ...[
      '224.0.0.1',
      '240.0.0.1',
      '255.255.255.255',
      '192.0.2.1',
      '203.0.113.9',
      '198.51.100.1',
      '192.88.99.1',
    ],
    ...[
      '::',
      '::1',
      '::ffff:127.0.0.1',
      '::ffff:8.8.8.8',
      '::ffff:a9fe:a9fe',
      '64:ff9b::a9fe:a9fe',
      '::127.0.0.1',
    ],
    ...[
      'fc00::1',
      'fd00:ec2::254',
      'fe80::1',
      'fe80::1%eth0',
      'ff02::1',
      '2002:7f00:1::',
      '2001::1',
      '2001:db8::1',
    ],
    ...['3fff::1', '', 'localhost', '8.8.8', '0x7f000001'],
  ])('%s is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  test.each([
    '8.8.8.8',
    '1.1.1.1',
    '172.32.0.1',
    '192.0.1.1',
    '100.128.0.1',
    '223.255.255.255',
    '2606:4700::1111',
    '2a00::1',
  ])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });
});

describe('the address of a receiver', () => {
  test.each([
    ...['http://example.org/', 'ftp://example.org/', 'file:///etc/passwd', 'javascript:1', 'example.org', ''],
    ...['https://user:pass@example.org/', 'https://user@example.org/', 'https://example.org/#x'],
    ...[
      'https://127.0.0.1/',
      'https://127.1/',
      'https://2130706433/',
      'https://0x7f.1/',
      'https://0177.0.0.1/',
    ],
    ...[
      'https://[::1]/',
      'https://[::ffff:127.0.0.1]/',
      'https://[fd00:ec2::254]/',
      'https://169.254.169.254/latest',
    ],
    ...[
      'https://localhost/',
      'https://LOCALHOST:443/',
      'https://localhost./',
      'https://a.localhost/',
      'https://vault/',
    ],
    ...[
      'https://metadata.google.internal/',
      'https://printer.local/',
      'https://１２７.0.0.1/',
      'https://①27.0.0.1/',
    ],
    `https://example.org/${'x'.repeat(2000)}`,
  ])('%s is refused', (text) => {
    expect(webhookUrl(text, none)).toHaveProperty('fault');
  });

  test('is kept in one spelling', () => {
    expect(webhookUrl('HTTPS://Hooks.Example.org:443/a?b=c', none)).toEqual({
      url: 'https://hooks.example.org/a?b=c',
    });
  });

  test('inside is permitted by name and port, and by nothing near it', () => {
    const allowed = new Set([
      allowedAuthority('hooks.internal:8443') ?? '',
      allowedAuthority('10.0.0.5') ?? '',
    ]);
    expect(webhookUrl('https://hooks.internal:8443/x', allowed)).toHaveProperty('url');
    expect(webhookUrl('https://10.0.0.5/x', allowed)).toHaveProperty('url');
    for (const near of [
      'https://hooks.internal/',
      'https://hooks.internal:8444/',
      'https://10.0.0.5:444/',
      'https://10.0.0.6/',
    ])
      expect(webhookUrl(near, allowed)).toHaveProperty('fault');
    for (const none of ['', '*', 'a b', 'https://x', 'x:99999', 'x/y', '::1', 'user@x'])
      expect(allowedAuthority(none)).toBeNull();
  });
});

describe('pauses', () => {
  const attempt = { attempts: 1, failures: 1, ageMs: 0, gone: false, random: 0.5 };

  test('grow, and end after three days', () => {
    let [age, attempts] = [0, 1];
    const pauses: number[] = [];
    for (;;) {
      const { next } = afterAttempt({ ...attempt, attempts, ageMs: age });
      if (next === null) break;
      pauses.push(next);
      age += next;
      attempts += 1;
    }
    expect(pauses.slice(0, 9)).toEqual(pauses.slice(0, 9).toSorted((a, b) => a - b));
    expect(pauses[0]).toBe(5_000);
    expect(age).toBeGreaterThan(GIVEN_UP_AFTER_MS - 8 * 3_600_000);
    expect(age).toBeLessThanOrEqual(GIVEN_UP_AFTER_MS);
    expect(pauses.length).toBeLessThan(20);
  });

  test('a receiver that wants no more is not asked again for this message', () => {
    expect(afterAttempt({ ...attempt, gone: true }).next).toBeNull();
  });

  test('a receiver rests for five minutes at most, whatever has failed', () => {
    expect(afterAttempt({ ...attempt, failures: 1_000_000 }).resume).toBe(300_000);
    expect(afterAttempt({ ...attempt, failures: 1 }).resume).toBe(2_000);
  });
});
