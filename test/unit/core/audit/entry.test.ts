import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBody, encodeEvent, MAX_BODY_BYTES } from '../../../../src/core/audit/entry.ts';
import type { AppError } from '../../../../src/core/errors.ts';
import type { AuditEvent } from '../../../../src/core/events.ts';
import { everyAction, fixedEvent, fixedId } from '../../../support/audit-events.ts';

const golden = readFileSync(join(import.meta.dirname, '../../../fixtures/audit/bodies.ndjson'), 'utf8')
  .trimEnd()
  .split('\n');

const caught = (act: () => unknown): AppError => {
  try {
    act();
  } catch (error) {
    return error as AppError;
  }
  throw new Error('nothing was thrown');
};

/** Any value in place of what the type demands: what a caller in error, or a database in foreign hands, may hold. */
const withField = (path: string, value: unknown): AuditEvent => {
  const event = structuredClone(fixedEvent('playback.opened')) as unknown as Record<string, unknown>;
  const names = path.split('.');
  const last = names.pop()!;
  const owner = names.reduce((node, name) => node[name] as Record<string, unknown>, event);
  owner[last] = value;
  return event as unknown as AuditEvent;
};

describe('canonical bodies', () => {
  test('of every action, byte for byte as ever: a difference here would make old logs unreadable', () => {
    expect(everyAction.map((action) => encodeEvent(fixedEvent(action)).body)).toEqual(golden);
  });

  test.each(everyAction)('%s: what is read back is what was written', (action) => {
    const { body, event } = encodeEvent(fixedEvent(action));
    expect(event).toEqual(fixedEvent(action));
    expect(decodeBody(body)).toEqual(event);
  });

  test('the order in which a caller names the fields does not matter', () => {
    const event = fixedEvent('recordings.searched');
    const turned = (value: object): object =>
      Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([name, inner]) => [
            name,
            typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? turned(inner) : inner,
          ]),
      );
    expect(encodeEvent(turned(event) as AuditEvent).body).toBe(encodeEvent(event).body);
  });

  test('I-1 what is no field does not get into the log', () => {
    const event = { ...fixedEvent('playback.opened'), callerNumber: '+46701234567' };
    const nested = {
      ...event,
      detail: { ...event.detail, name: 'Ask' },
      actor: { ...event.actor, email: 'x@y' },
    };
    expect(encodeEvent(nested).body).toBe(encodeEvent(fixedEvent('playback.opened')).body);
  });

  test('a caller who changes the event afterwards does not change what was encoded', () => {
    const event = structuredClone(fixedEvent('recordings.searched')) as unknown as {
      recording: string;
      detail: { results: string[] };
    };
    const encoded = encodeEvent(event as unknown as AuditEvent);
    event.recording = fixedId(99);
    event.detail.results.push(fixedId(98));
    expect(encoded.event).toEqual(fixedEvent('recordings.searched'));
  });

  test('the largest event there can be stays within the bound', () => {
    const wide = '€"\\'.repeat(1000);
    const ids = Array.from({ length: 1000 }, (_, i) => fixedId(i));
    const search = fixedEvent('recordings.searched', {
      request: wide,
      subject: '"'.repeat(128),
      detail: { count: 1000, results: ids, criteria: Array(32).fill(wide), indexVersion: 1, more: true },
    });
    const spans = Array.from({ length: 1000 }, (_, i) => [i + 0.123456789012345, 9e15 + i] as const);
    const heard = fixedEvent('playback.heard', { detail: { playback: fixedId(1), spans } });
    for (const event of [search, heard]) {
      const { body } = encodeEvent(event);
      expect(Buffer.byteLength(body)).toBeLessThanOrEqual(MAX_BODY_BYTES);
      expect(decodeBody(body).action).toBe(event.action);
    }
  });
});

describe('hostile text', () => {
  const UNREADABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/u;

  test('any UTF-16 becomes one readable, well-formed line that decodes to itself', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (reason) => {
        const { body, event } = encodeEvent(withField('detail.reason', reason));
        expect(body.isWellFormed()).toBe(true);
        expect(UNREADABLE.test(body)).toBe(false);
        expect(decodeBody(body)).toEqual(event);
        expect(encodeEvent(event).body).toBe(body);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['a lone surrogate', 'a\ud800b', 'a\ufffdb'],
    ['NUL and escape', 'a\u0000\u001b[31mb', 'a\ufffd\ufffd[31mb'],
    ['a second log line', 'ok\n{"v":1}', 'ok\ufffd{"v":1}'],
    ['turned writing', 'abc\u202edcba', 'abc\ufffddcba'],
    ['a line separator', 'a\u2028b', 'a\ufffdb'],
    ['quotes and backslashes stay', '"},"outcome":"success\\', '"},"outcome":"success\\'],
    ['emoji and å stay', 'Åsa 👩‍⚕️', 'Åsa 👩‍⚕️'],
    ['nothing', '', ''],
  ])('%s', (_, sent, kept) => {
    const { body, event } = encodeEvent(withField('detail.reason', sent));
    expect(event).toMatchObject({ detail: { reason: kept } });
    expect(decodeBody(body)).toEqual(event);
  });

  test.each([
    ['at its bound', 'x'.repeat(500), 'x'.repeat(500)],
    ['beyond it', 'x'.repeat(501), `${'x'.repeat(499)}…`],
    ['within a pair', `${'x'.repeat(498)}😀😀`, `${'x'.repeat(498)}…`],
    ['a hundred megabytes', 'x'.repeat(100_000_000), `${'x'.repeat(499)}…`],
    ['beyond it with half a pair at the end', `${'x'.repeat(500)}\ud83d`, `${'x'.repeat(499)}…`],
  ])('text is cut: %s', (_, sent, kept) => {
    const { body, event } = encodeEvent(withField('detail.reason', sent));
    expect(event).toMatchObject({ detail: { reason: kept } });
    expect(decodeBody(body)).toEqual(event);
  });
});

describe('an event that no caller may build is refused, and its value is not repeated', () => {
  test.each([
    ['id', 'CANARY'],
    ['id', fixedId(1).toUpperCase().replace('4000', 'A000')],
    ['id', `${fixedId(1)}\n`],
    ['organisation', '+46701234567'],
    ['organisation', undefined],
    ['unit', 7],
    ['recording', '../../etc/passwd'],
    ['session', ''],
    ['subject', 'has space'],
    ['subject', 'x'.repeat(129)],
    ['subject', 'å'],
    ['purpose', 'curiosity'],
    ['outcome', 'SUCCESS'],
    ['action', 'playback.erased'],
    ['action', 'toString'],
    ['action', '__proto__'],
    ['at', 1.5],
    ['at', -1],
    ['at', Number.NaN],
    ['at', 2 ** 53],
    ['at', '1763719200000'],
    ['at', 10n],
    ['actor', null],
    ['actor', []],
    ['actor.type', 'root'],
    ['actor.role', 'nurse '],
    ['actor.id', ''],
    ['request', 12],
    ['detail', null],
    ['detail', undefined],
    ['detail.playback', 'p'],
    ['detail.reason', { toString: () => 'CANARY' }],
    ['detail.expiresAt', null],
  ])('%s = %s', (path, value) => {
    const error = caught(() => encodeEvent(withField(path, value)));
    expect(error).toMatchObject({ name: 'AppError', code: 'internal' });
    expect(error.message).toContain(path.split('.').at(-1));
    expect(error.message).not.toContain('CANARY');
    expect(error.message).not.toContain('+4670');
  });

  test('lists beyond their bound: an entry that leaves results out would not cover them', () => {
    const detail = { ...fixedEvent('recordings.searched').detail, results: Array(1001).fill(fixedId(1)) };
    expect(caught(() => encodeEvent(fixedEvent('recordings.searched', { detail }))).code).toBe('internal');
    const spans = Array(1001).fill([0, 1]);
    const heard = fixedEvent('playback.heard', { detail: { playback: fixedId(1), spans } });
    expect(caught(() => encodeEvent(heard)).code).toBe('internal');
  });

  test.each([[[1]], [[1, 2, 3]], [['1', '2']], [[Number.POSITIVE_INFINITY, 1]], [[-1, 2]], [null]])(
    'span %j',
    (span) => {
      const heard = fixedEvent('playback.heard', {
        detail: { playback: fixedId(1), spans: [span as never] },
      });
      expect(caught(() => encodeEvent(heard)).code).toBe('internal');
    },
  );

  test('minus zero is zero, as JSON writes it', () => {
    const { body, event } = encodeEvent(
      fixedEvent('recording.refused', { detail: { reason: 'x', bytes: -0 } }),
    );
    expect(decodeBody(body)).toEqual(event);
  });
});

describe('a body read back is believed only when it is byte for byte what the encoder writes', () => {
  const body = golden[everyAction.indexOf('playback.opened')]!;

  test.each([
    ['not JSON', 'CANARY'],
    ['cut', body.slice(0, -1)],
    ['empty', ''],
    ['null', 'null'],
    ['a number', '1'],
    ['a list', `[${body}]`],
    ['white space', body.replace(',', ', ')],
    ['white space at the end', `${body}\n`],
    ['a key twice', body.replace('"at":', '"at":1,"at":')],
    ['another order', body.replace('{"v":1,', '{').replace(/\}$/, ',"v":1}')],
    ['an unknown version', body.replace('"v":1', '"v":2')],
    ['no version', body.replace('"v":1,', '')],
    ['an additional key', body.replace('"detail":{', '"detail":{"number":"1",')],
    ['an additional key at the top', body.replace(/\}$/, ',"x":0}')],
    ['a prototype', body.replace('"detail":{', '"detail":{"__proto__":{},')],
    ['an escaped letter', body.replace('playback.opened', 'pl\\u0061yback.opened')],
    ['a number in other words', body.replace('1763719200000', '1763719200000.0')],
    ['an exponent', body.replace('1763719200000', '17637192e5')],
    ['another action with the same detail', body.replace('playback.opened', 'playback.heard')],
    ['an unknown action', body.replace('playback.opened', 'playback.closed')],
    ['a control character', body.replace('req-1', 'req\\u00001')],
    ['a lone surrogate', body.replace('req-1', 'req\\ud8001')],
    ['a byte order mark', `\ufeff${body}`],
    ['sixty thousand brackets', '['.repeat(60_000)],
    ['too long', body.replace('req-1', 'x'.repeat(MAX_BODY_BYTES))],
  ])('%s', (_, changed) => {
    const error = caught(() => decodeBody(changed));
    expect(error).toMatchObject({ name: 'AppError', code: 'integrity_failure' });
    expect(error.message).not.toContain('CANARY');
  });

  test('any single character changed is noticed or is another canonical entry', () => {
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.integer({ min: 0x20, max: 0x7e }), (at, code) => {
        const changed = body.slice(0, at) + String.fromCharCode(code) + body.slice(at + 1);
        try {
          expect(encodeEvent(decodeBody(changed)).body).toBe(changed);
        } catch (error) {
          expect(error).toMatchObject({ code: 'integrity_failure' });
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
