import { describe, expect, test } from 'vitest';
import { OGG_FIRST, OGG_LAST, oggPage, opusHead } from '../../../support/audio-files.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

const facts = (...pages: Buffer[]) => probeAudio(Buffer.concat(pages)).facts;

const PRE_SKIP = 312;
const positionOf = (ms: number) => BigInt(ms * 48 + PRE_SKIP);
const head = oggPage({ body: opusHead(), flags: OGG_FIRST });
const tags = oggPage({ body: Buffer.from('OpusTags'.padEnd(400, ' ')) });
const page = (ms: number, flags = 0) =>
  oggPage({ body: Buffer.alloc(700, 1), granule: positionOf(ms), flags });
const call = [head, tags, page(1000), page(2000), page(2500, OGG_LAST)];

test('Opus is as long as its last page says, less what is skipped at its start', () => {
  expect(facts(...call)).toEqual({
    mediaType: 'audio/ogg',
    container: 'ogg',
    codec: 'opus',
    sampleRate: 48_000,
    channels: 1,
    declaredDurationMs: null,
    durationMs: 2500,
    flags: [],
  });
});

test('pages on which no packet ends do not move the position', () => {
  const open = oggPage({ body: Buffer.alloc(255), granule: -1n });
  const strange = oggPage({ body: Buffer.alloc(255), granule: -(2n ** 63n) });
  expect(
    facts(
      head,
      page(1000),
      open,
      strange,
      page(2000),
      oggPage({ body: Buffer.alloc(0), granule: -1n, flags: OGG_LAST }),
    ),
  ).toMatchObject({
    durationMs: 2000,
    flags: [],
  });
});

describe('cut', () => {
  test.each([
    ['between pages', Buffer.concat(call.slice(0, 3)), 1000],
    ['inside a page', Buffer.concat(call).subarray(0, -1), 2000],
    ['inside a segment table', Buffer.concat([head, tags, page(1000), page(2000).subarray(0, 28)]), 1000],
    ['inside a page header', Buffer.concat([head, tags, page(1000), page(2000).subarray(0, 20)]), 1000],
  ])('%s', (_, bytes, durationMs) => {
    expect(probeAudio(bytes).facts).toMatchObject({ durationMs, flags: ['truncated'] });
  });

  test('inside the first packet', () => {
    expect(facts(head.subarray(0, 35))).toMatchObject({
      codec: null,
      flags: ['empty', 'unknown_codec', 'truncated'],
    });
    expect(facts(head.subarray(0, 10))).toMatchObject({
      container: 'ogg',
      codec: null,
      flags: ['empty', 'unknown_codec', 'truncated'],
    });
  });
});

describe('gaps', () => {
  test.each([1, 30, 4095, 4096, 9000])('%i bytes of junk between pages', (junk) => {
    expect(facts(head, tags, page(1000), Buffer.alloc(junk, 'O'), page(2000, OGG_LAST))).toMatchObject({
      durationMs: 2000,
      flags: ['gaps'],
    });
  });

  test('junk to the end', () => {
    expect(facts(head, tags, page(1000, OGG_LAST), Buffer.alloc(5000, 'O'))).toMatchObject({
      durationMs: 1000,
      flags: ['gaps'],
    });
  });
});

describe('other streams', () => {
  test('side by side: kept, without a duration', () => {
    const second = oggPage({ body: opusHead(), flags: OGG_FIRST, serial: 2 });
    expect(facts(head, second, page(1000, OGG_LAST))).toMatchObject({
      codec: 'opus',
      durationMs: null,
      flags: [],
    });
  });

  describe('one behind another', () => {
    const whole = audioFixture('opus.ogg');
    const other = Buffer.from(whole);
    for (let at = whole.indexOf('OggS'); at !== -1; at = whole.indexOf('OggS', at + 1))
      other.writeUInt32LE(0x0102_0304, at + 14);

    test.each<[string, Buffer[]]>([
      ['under one number', [whole, whole]],
      ['under numbers of their own', [whole, other]],
      ['three of them', [whole, other, whole]],
    ])('%s: as long as all', (_what, files) => {
      expect(facts(...files)).toMatchObject({ codec: 'opus', durationMs: 600 * files.length, flags: [] });
    });

    test('one that is cut, first or last, is cut', () => {
      expect(facts(...call.slice(0, 3), ...call)).toMatchObject({ durationMs: 3500, flags: ['truncated'] });
      expect(facts(...call, ...call.slice(0, 3))).toMatchObject({ durationMs: 3500, flags: ['truncated'] });
      expect(facts(whole, other.subarray(0, -1)).flags).toEqual(['truncated']);
    });

    test('of another kind: without a duration', () => {
      const stereo = Buffer.from(opusHead());
      stereo[9] = 2;
      const second = oggPage({ body: stereo, flags: OGG_FIRST, serial: 2 });
      const end = oggPage({ body: Buffer.alloc(9), serial: 2, granule: 9_999n, flags: OGG_LAST });
      expect(facts(...call, second, end)).toMatchObject({ codec: 'opus', durationMs: null, flags: [] });
    });
  });

  test('pages of a stream that never began are passed over', () => {
    expect(facts(page(1000, OGG_LAST))).toMatchObject({
      codec: null,
      durationMs: null,
      flags: ['empty', 'unknown_codec', 'truncated'],
    });
  });

  test('Speex', () => {
    const packet = Buffer.alloc(80);
    packet.write('Speex   ');
    packet.writeUInt32LE(8000, 36);
    packet.writeUInt32LE(1, 48);
    const file = (bytes: Buffer) =>
      facts(
        oggPage({ body: bytes, flags: OGG_FIRST }),
        oggPage({ body: Buffer.alloc(9), granule: 16_000n, flags: OGG_LAST }),
      );
    expect(file(packet)).toMatchObject({
      codec: 'speex',
      sampleRate: 8000,
      channels: 1,
      durationMs: 2000,
      flags: [],
    });
    expect(file(packet.subarray(0, 40))).toMatchObject({ codec: null, flags: ['unknown_codec'] });
  });

  test('something unknown', () => {
    const file = facts(
      oggPage({ body: Buffer.from('fishead'), flags: OGG_FIRST }),
      oggPage({ body: Buffer.alloc(9), granule: 5n, flags: OGG_LAST }),
    );
    expect(file).toMatchObject({ container: 'ogg', codec: null, durationMs: null, flags: ['unknown_codec'] });
  });
});

describe('headers that lie', () => {
  test('a Vorbis stream without rate or channels', () => {
    const vorbis = Buffer.alloc(30);
    vorbis.write('\x01vorbis', 'latin1');
    const file = facts(
      oggPage({ body: vorbis, flags: OGG_FIRST }),
      oggPage({ body: Buffer.alloc(9), granule: 5n, flags: OGG_LAST }),
    );
    expect(file).toMatchObject({
      codec: 'vorbis',
      sampleRate: null,
      channels: null,
      durationMs: null,
      flags: ['header_invalid'],
    });
  });

  test('a position beyond all time', () => {
    expect(
      facts(head, oggPage({ body: Buffer.alloc(9), granule: 2n ** 63n - 1n, flags: OGG_LAST })),
    ).toMatchObject({ durationMs: null, flags: [] });
  });

  test('less than what is skipped is nothing', () => {
    expect(facts(head, oggPage({ body: Buffer.alloc(9), granule: 100n, flags: OGG_LAST }))).toMatchObject({
      durationMs: 0,
      flags: ['empty'],
    });
  });
});

test('an encoder’s own file, cut at every byte, never grows', () => {
  const whole = audioFixture('opus.ogg');
  let last = 0;
  for (let bytes = 0; bytes <= whole.length; bytes += 7) {
    const { durationMs } = probeAudio(whole.subarray(0, bytes)).facts;
    expect(durationMs ?? 0).toBeGreaterThanOrEqual(last);
    last = durationMs ?? 0;
  }
});
