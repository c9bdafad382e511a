import { describe, expect, test } from 'vitest';
import { isAppError } from '../../../src/core/errors.ts';
import {
  keptForm,
  readCallbackForm,
  readRecordingCallback,
  signedTexts,
} from '../../../src/core/recording-callback.ts';
import { isSignedText } from '../../../src/crypto/callback-signature.ts';

/** The example that Twilio's documentation and libraries publish with its signature. */
const published = {
  token: '12345',
  url: 'https://mycompany.com/myapp.php?foo=1&bar=2',
  signature: 'RSOYDt4T1cUTdK1PDd93/VVr8B8=',
  body: 'CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309',
};
const formOf = (body: string) => readCallbackForm(body) ?? new Map<string, string[]>();
const verified = ({ token, url, body, signature }: typeof published): boolean =>
  isSignedText(token, signedTexts(url, formOf(body)), signature);

describe('the signature', () => {
  test('of the published example verifies', () => {
    expect(verified(published)).toBe(true);
  });

  test.each<[string, Partial<typeof published>]>([
    ['another token', { token: '12346' }],
    ['another address', { url: 'https://mycompany.com/myapp.php?foo=1' }],
    ['http', { url: published.url.replace('https', 'http') }],
    ['another value', { body: published.body.replace('1234&', '1235&') }],
    ['a parameter less', { body: published.body.replace('&Digits=1234', '') }],
    ['a parameter more', { body: `${published.body}&X=` }],
    ['no signature', { signature: '' }],
    ['a longer signature', { signature: `${published.signature}=` }],
    ['bytes', { signature: 'å'.repeat(28) }],
  ])('with %s does not', (_what, other) => {
    expect(verified({ ...published, ...other })).toBe(false);
  });

  test('counts whether the standard port was signed or not, and no other port', () => {
    const plain = 'https://vault.example.org/v1/x';
    const ported = 'https://vault.example.org:443/v1/x';
    const none = new Map();
    expect(signedTexts(plain, none)).toContain(ported);
    expect(signedTexts(ported, none)).toContain(plain);
    expect(signedTexts('https://vault.example.org:8443/v1/x', none)).not.toContain(ported);
  });

  test('takes each different value of a parameter once, in order', () => {
    const [text] = signedTexts('https://a.example/', formOf('b=2&a=z&b=1&b=2'));
    expect(text).toBe('https://a.example/azb1b2');
  });

  test('of a form with too many parameters is not looked for', () => {
    expect(readCallbackForm('a&'.repeat(101))).toBeNull();
  });
});

const account = `AC${'0a'.repeat(16)}`;
const recording = `RE${'1b'.repeat(16)}`;
const call = `CA${'2c'.repeat(16)}`;
const base = `https://api.twilio.com/2010-04-01/Accounts/${account}/Recordings/${recording}`;
const completed = {
  AccountSid: account,
  CallSid: call,
  RecordingSid: recording,
  RecordingUrl: base,
  RecordingStatus: 'completed',
  RecordingDuration: '61',
  RecordingChannels: '1',
  RecordingStartTime: 'Thu, 20 Nov 2025 09:00:00 +0000',
  RecordingSource: 'DialVerb',
  RecordingTrack: 'both',
  ErrorCode: '0',
};
const NOW = Date.UTC(2025, 10, 20, 10);
const read = (about: Record<string, string>, now = NOW) =>
  readRecordingCallback(
    formOf(new URLSearchParams({ ...completed, ...about }).toString()),
    { accountSid: account, hosts: new Set(['api.twilio.com:443']) },
    now,
  );

test('a completed recording is known by its call, its own id, its start and its length', () => {
  const { status, call: announced, recording: fetched } = read({});
  const start = Date.UTC(2025, 10, 20, 9);
  expect(status).toBe('completed');
  expect(announced).toMatchObject({ callId: call, startedAt: start, overAt: start + 61_000, expected: true });
  expect(announced.expectedMs).toBe(61_000);
  expect(fetched).toMatchObject({ url: base, audioUrl: `${base}.wav` });
  expect(fetched?.metadata).toMatchObject({
    callId: call,
    deliveryId: `twilio ${recording}`,
    startedAt: start,
  });
});

test('read again from what is kept of it, it says the same, and nothing that nobody reads is kept', () => {
  for (const about of [
    {},
    { RecordingChannels: '2' },
    { RecordingStartTime: '' },
    { RecordingDuration: '-1' },
  ]) {
    const form = formOf(new URLSearchParams({ ...completed, ...about, From: '+46701740605' }).toString());
    const kept = keptForm(form);
    const account = { accountSid: completed.AccountSid, hosts: new Set(['api.twilio.com:443']) };
    expect(readRecordingCallback(formOf(kept), account, NOW)).toEqual(
      readRecordingCallback(form, account, NOW),
    );
    expect(kept).not.toMatch(/46701740605|From|ErrorCode/);
  }
});

test('two channels are asked for', () => {
  expect(read({ RecordingChannels: '2' }).recording?.audioUrl).toBe(`${base}.wav?RequestedChannels=2`);
});

test.each([
  ['in-progress', 'started', 4 * 3_600_000],
  ['absent', 'none', 61_000],
  ['failed', 'none', 61_000],
  ['paused', 'other', 61_000],
] as const)('%s is of no recording, and the call is over when it can be', (given, status, overMs) => {
  const callback = read({ RecordingStatus: given });
  expect(callback).toMatchObject({ status, recording: null });
  expect(callback.call.overAt - callback.call.startedAt).toBe(overMs);
});

test('without times a call began now and is over', () => {
  const { call: announced } = read({
    RecordingStatus: 'absent',
    RecordingStartTime: '',
    RecordingDuration: '-1',
  });
  expect(announced).toMatchObject({ startedAt: NOW, overAt: NOW });
});

const NUMBER = '0701740699';
test.each<[string, Record<string, string>]>([
  ['AccountSid', { AccountSid: `AC${'f'.repeat(32)}` }],
  ['CallSid', { CallSid: `+46${NUMBER}` }],
  ['CallSid', { CallSid: 'C'.repeat(65) }],
  ['RecordingSid', { RecordingSid: `${recording}/../x` }],
  ['RecordingStatus', { RecordingStatus: '' }],
  ['RecordingStartTime', { RecordingStartTime: NUMBER }],
  ['RecordingStartTime', { RecordingStartTime: 'Thu, 20 Nov 2525 09:00:00 +0000' }],
  ['RecordingStartTime', { RecordingStartTime: 'Thu, 99 Nov 2025 09:00:00 +0000' }],
  ['RecordingDuration', { RecordingDuration: NUMBER }],
  ['RecordingUrl', { RecordingUrl: '' }],
  ['RecordingUrl', { RecordingUrl: base.replace('https', 'http') }],
  ['RecordingUrl', { RecordingUrl: base.replace('api.twilio.com', 'localhost') }],
  ['RecordingUrl', { RecordingUrl: base.replace('api.twilio.com', '169.254.169.254') }],
  ['RecordingUrl', { RecordingUrl: base.replace('api.twilio.com', 'api.twilio.com.example.org') }],
  ['RecordingUrl', { RecordingUrl: base.replace('api.twilio.com', 'api.twilio.com:8443') }],
  ['RecordingUrl', { RecordingUrl: base.replace('api.twilio.com', 'api.twilio.com@127.0.0.1') }],
  ['RecordingUrl', { RecordingUrl: base.replace('//', '//user:word@') }],
  ['RecordingUrl', { RecordingUrl: base.replace(account, `AC${'f'.repeat(32)}`) }],
  ['RecordingUrl', { RecordingUrl: base.replace(recording, `RE${'f'.repeat(32)}`) }],
  ['RecordingUrl', { RecordingUrl: `${base}/../../../other` }],
  ['RecordingUrl', { RecordingUrl: `${base}%2f..` }],
  ['RecordingUrl', { RecordingUrl: `${base}?x=1` }],
  ['RecordingUrl', { RecordingUrl: `${base}#x` }],
  ['RecordingUrl', { RecordingUrl: base + 'x'.repeat(2000) }],
])('a wrong %s is refused by its name, and nothing of it repeated (%j)', (where, about) => {
  const refused = (() => {
    try {
      return read(about);
    } catch (error) {
      return error;
    }
  })();
  if (!isAppError(refused, 'not_acceptable_metadata')) throw new Error('it was not refused');
  expect(refused.extras.faults?.map((fault) => fault.where)).toEqual([where]);
  expect(JSON.stringify(refused.extras) + refused.message).not.toMatch(/07017|169\.254|user:word/);
});

test('a parameter that is looked at and given twice is refused', () => {
  const body = `${new URLSearchParams(completed)}&CallSid=CAx`;
  const hosts = new Set(['api.twilio.com:443']);
  expect(() => readRecordingCallback(formOf(body), { accountSid: account, hosts }, NOW)).toThrow(
    'The callback cannot be accepted.',
  );
});
