import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createAudioProbe } from '../../../../src/core/audio/probe.ts';
import { mp3Frames, OGG_FIRST, oggPage, opusHead, pcm16, wavFile } from '../../../support/audio-files.ts';
import { declaredFixtures, fixtures } from '../../../support/audio-fixture-facts.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

/** Small, fast, seeded: the same 200,000 every time. */
const createRandom = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};

const isSane = ({ facts }: ReturnType<typeof probeAudio>): boolean =>
  [facts.sampleRate, facts.channels, facts.declaredDurationMs, facts.durationMs].every(
    (value) => value === null || (Number.isInteger(value) && value >= 0 && value < 2 ** 31),
  );

describe('hostile bytes', () => {
  const seeds: readonly Buffer[] = [
    ...fixtures.map(([file]) => audioFixture(file).subarray(0, 700)),
    wavFile({ data: pcm16([1, 2, 3, 4]), channels: 2 }),
    wavFile({ tag: 0xfffe, data: Buffer.alloc(64), extension: Buffer.alloc(24) }),
    mp3Frames(4),
    audioFixture('opus-live.webm').subarray(0, 400),
    Buffer.concat([Buffer.from('ID3\x04\0\0\0\0\0\x05'), Buffer.alloc(5), mp3Frames(3)]),
    Buffer.concat([
      oggPage({ body: opusHead(), flags: OGG_FIRST }),
      oggPage({ body: Buffer.alloc(300), granule: 9999n }),
    ]),
  ];

  const declared = ['', 'audio/x-slin;channels=2', 'audio/gsm', 'audio/g722', 'audio/basic'];

  test('200,000 damaged headers: no throw, and only numbers a database can keep', () => {
    const random = createRandom(20_261_121);
    const extremes = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
    for (let run = 0; run < 200_000; run += 1) {
      const bytes = Buffer.from(seeds[random(seeds.length)]!.subarray(0, 1 + random(400)));
      for (let hits = 1 + random(8); hits > 0; hits -= 1) {
        bytes[random(Math.min(bytes.length, 120))] =
          random(2) === 0 ? random(256) : extremes[random(extremes.length)]!;
      }
      if (!isSane(probeAudio(bytes, bytes.length, declared[random(declared.length)]!)))
        throw new Error(`run ${run}: ${bytes.toString('hex')}`);
    }
  });

  test('any bytes, cut anywhere, are read alike', () => {
    const magic = fc
      .constantFrom(
        'RIFF\0\0\0\0WAVE',
        'OggS',
        'fLaC',
        'ID3',
        '\xff\xe3\x28\xc0',
        '#!AMR\n',
        '.snd',
        '\0\0\0\x10ftypM4A \0\0\0\0',
        '\x1a\x45\xdf\xa3\x80',
        '',
      )
      .map((text) => Buffer.from(text, 'latin1'));
    fc.assert(
      fc.property(
        magic,
        fc.uint8Array({ maxLength: 3000 }),
        fc.integer({ min: 1, max: 700 }),
        (head, body, pieceBytes) => {
          const bytes = Buffer.concat([head, body]);
          const report = probeAudio(bytes, pieceBytes);
          expect(report).toEqual(probeAudio(bytes));
          expect(isSane(report)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** Bytes in buffers that somebody still holds. Buffers are given back a turn after they are collected. */
const heldBytes = async (): Promise<number> => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let turn = 0; turn < 3; turn += 1) {
    collect();
    await setImmediate();
  }
  return process.memoryUsage().arrayBuffers;
};

describe('bits flipped anywhere', () => {
  const flipped = (bytes: Buffer, random: (below: number) => number): Buffer => {
    const copy = Buffer.from(bytes);
    for (let hits = 1 + random(6); hits > 0; hits -= 1) {
      const at = random(copy.length);
      copy[at] = copy[at]! ^ (1 << random(8));
    }
    return copy;
  };

  test.each([
    ...fixtures.map(([file]) => [file, ''] as const),
    ...declaredFixtures.map(([type, file]) => [file, type] as const),
  ])('%s (%s): no throw, no length that cannot be, nothing beyond its end', (file, type) => {
    const bytes = audioFixture(file);
    const random = createRandom(bytes.length);
    for (let run = 0; run < 300; run += 1) {
      const damaged = flipped(bytes, random);
      const report = probeAudio(damaged, 4096, type);
      const beyond = report.place !== null && report.place.start + report.place.bytes > damaged.length;
      if (!isSane(report) || beyond) throw new Error(`run ${run} of ${file}`);
    }
  });
});

describe('a file cut at every byte', () => {
  test.each(fixtures)('%s', (file) => {
    const bytes = audioFixture(file);
    const whole = probeAudio(bytes).facts;
    const step = bytes.length > 6000 ? 7 : 1;
    for (let length = 1; length < bytes.length; length += step) {
      const { durationMs } = probeAudio(bytes.subarray(0, length)).facts;
      // A length that is told is never more than what the whole has; MP3 trims the encoder's padding at a true end only.
      if (durationMs !== null && whole.codec !== 'mp3')
        expect(durationMs).toBeLessThanOrEqual(whole.durationMs! + 20);
    }
  });
});

test('memory does not grow with the call', async () => {
  const piece = Buffer.alloc(65_536, 3);
  const probes = [
    wavFile({ dataSize: 0xffff_ffff }),
    mp3Frames(5),
    Buffer.concat([oggPage({ body: opusHead(), flags: OGG_FIRST })]),
    audioFixture('speech.flac').subarray(0, 200),
    Buffer.concat([audioFixture('aac-moov-first.m4a').subarray(0, 1100), Buffer.from('\0\0\0\0mdat')]),
    audioFixture('opus-live.webm').subarray(0, 500),
    Buffer.from('#!AMR\n'),
    audioFixture('ulaw.au').subarray(0, 100),
  ].map((head) => {
    const probe = createAudioProbe();
    probe.push(head);
    return probe;
  });
  const before = await heldBytes();
  // 64 MiB through each; what is held at any time is less than one piece.
  for (let i = 0; i < 1024; i += 1) for (const probe of probes) probe.push(piece);
  expect((await heldBytes()) - before).toBeLessThan(2 ** 20);
  expect(probes[0]!.finish().facts.durationMs).toBe((1024 * 65_536) / 16);
});
