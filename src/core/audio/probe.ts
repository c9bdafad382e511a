import { type AudioFacts, type AudioScan, bareScan, type Container } from './facts.ts';
import { flac } from './flac.ts';
import { mp3 } from './mp3.ts';
import { ogg } from './ogg.ts';
import { createPullParser, type Parser, peek, skip } from './pull.ts';
import { type Refusal, SNIFF_BYTES, sniff } from './sniff.ts';
import { wav } from './wav.ts';

export type AudioReport = {
  readonly facts: AudioFacts;
  /** Encoded peaks (see peaks.ts) or null; they are about the content of the call and must be sealed like it. */
  readonly peaks: Buffer | null;
  readonly refusal: Refusal | null;
};

export type AudioProbe = {
  /** Plaintext in order, cut anywhere; the chunk is not kept. */
  push(chunk: Uint8Array): void;
  /** What policy refuses, known after 512 bytes at the latest; asked after every push, it stops an upload early. */
  refusal(): Refusal | null;
  /** Ends the stream. A refusal of a stream shorter than 512 bytes is known only now. */
  finish(): AudioReport;
};

/**
 * Learns what a recording is while its upload flows past: some KiB of memory whatever the length, no throw whatever the
 * bytes. What the sender calls it decides nothing and is only compared with what is found.
 */
export const createAudioProbe = (options: { readonly declaredMediaType?: string } = {}): AudioProbe => {
  let refusal: Refusal | null = null;
  const parser = createPullParser(audio((found) => (refusal = found)));
  return {
    push: parser.push,
    refusal: () => refusal,
    finish() {
      const { peaks, ...scan } = parser.finish();
      return { facts: factsOf(scan, options.declaredMediaType), peaks, refusal };
    },
  };
};

function* audio(refuse: (refusal: Refusal) => void): Parser<AudioScan> {
  const head = yield* peek(SNIFF_BYTES);
  if (head.length === 0) return bareScan(null, ['empty']);
  const sniffed = sniff(head);
  if (sniffed.kind === 'audio') return yield* parsers[sniffed.container]();
  if (sniffed.kind === 'unknown') return yield* mp3();
  refuse(sniffed.refusal);
  yield* skip(Number.POSITIVE_INFINITY);
  return bareScan(null, ['unknown_format']);
}

/** Kept and named by their magic; what is in them takes a demultiplexer. */
const magicOnly = (container: Container) =>
  function* (): Parser<AudioScan> {
    const head = yield* peek(9);
    yield* skip(Number.POSITIVE_INFINITY);
    if (container !== 'amr') return bareScan(container);
    return { ...bareScan('amr'), codec: head.toString('latin1') === '#!AMR-WB\n' ? 'amr_wb' : 'amr_nb' };
  };

const parsers: Readonly<Record<Container, () => Parser<AudioScan>>> = {
  wav,
  mp3,
  ogg,
  flac,
  mp4: magicOnly('mp4'),
  webm: magicOnly('webm'),
  amr: magicOnly('amr'),
  au: magicOnly('au'),
};

const mediaTypes: Readonly<Record<Container, string>> = {
  wav: 'audio/wav',
  mp3: 'audio/mpeg',
  ogg: 'audio/ogg',
  flac: 'audio/flac',
  mp4: 'audio/mp4',
  webm: 'audio/webm',
  amr: 'audio/amr',
  au: 'audio/basic',
};

/** What senders call the containers, without parameters and without `x-`. Types that are not here claim nothing. */
const claims: ReadonlyMap<string, Container> = new Map([
  ...(Object.entries(mediaTypes) as [Container, string][]).map(
    ([container, type]) => [type, container] as const,
  ),
  ['audio/wave', 'wav'],
  ['audio/vnd.wave', 'wav'],
  ['audio/mp3', 'mp3'],
  ['audio/opus', 'ogg'],
  ['audio/vorbis', 'ogg'],
  ['application/ogg', 'ogg'],
  ['audio/m4a', 'mp4'],
]);

const factsOf = (scan: Omit<AudioScan, 'peaks'>, declaredMediaType = ''): AudioFacts => {
  const claimed = claims.get(
    declaredMediaType.slice(0, 100).split(';', 1)[0]!.trim().toLowerCase().replace('/x-', '/'),
  );
  const mismatch = claimed !== undefined && scan.container !== null && claimed !== scan.container;
  return {
    ...scan,
    mediaType: scan.container === null ? 'application/octet-stream' : mediaTypes[scan.container],
    flags: mismatch ? [...scan.flags, 'type_mismatch'] : scan.flags,
  };
};
