import { adts } from './adts.ts';
import { amr } from './amr.ts';
import { au } from './au.ts';
import { type DeclaredType, mediaTypes, parseDeclaredType } from './declared-type.ts';
import { type AudioFacts, type AudioScan, bareScan, type Container, type SoundPlace } from './facts.ts';
import { flac } from './flac.ts';
import { mp3 } from './mp3.ts';
import { mp4 } from './mp4.ts';
import { ogg } from './ogg.ts';
import { createPullParser, type Parser, peek, skip } from './pull.ts';
import { raw } from './raw.ts';
import { type MagicContainer, type Refusal, SNIFF_BYTES, sniff } from './sniff.ts';
import { wav } from './wav.ts';
import { webm } from './webm.ts';

export type AudioReport = {
  readonly facts: AudioFacts;
  /** Encoded peaks (see peaks.ts) or null; they are about the content of the call and must be sealed like it. */
  readonly peaks: Buffer | null;
  readonly place: SoundPlace | null;
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
 * bytes. What the sender calls it is only compared with what is found, unless it declares sound without a container.
 */
export const createAudioProbe = (options: { readonly declaredMediaType?: string } = {}): AudioProbe => {
  let refusal: Refusal | null = null;
  const declared = parseDeclaredType(options.declaredMediaType ?? '');
  const parser = createPullParser(audio(declared, (found) => (refusal = found)));
  return {
    push: parser.push,
    refusal: () => refusal,
    finish() {
      const { peaks, place, ...scan } = parser.finish();
      return { facts: factsOf(scan, declared), peaks, place, refusal };
    },
  };
};

function* audio(declared: DeclaredType, refuse: (refusal: Refusal) => void): Parser<AudioScan> {
  const head = yield* peek(SNIFF_BYTES);
  if (head.length === 0) return bareScan(null, ['empty']);
  const sniffed = sniff(head, declared.raw !== null);
  if (sniffed.kind === 'audio') return yield* parsers[sniffed.container]();
  if (sniffed.kind === 'unknown') {
    const scan = declared.raw === null ? null : yield* raw(declared.raw);
    return scan ?? (yield* adts()) ?? (yield* mp3());
  }
  refuse(sniffed.refusal);
  yield* skip(Number.POSITIVE_INFINITY);
  return bareScan(null, ['unknown_format']);
}

const parsers: Readonly<Record<MagicContainer, () => Parser<AudioScan>>> = {
  wav,
  ogg,
  flac,
  mp4,
  webm,
  amr,
  au,
};

const factsOf = (scan: Omit<AudioScan, 'peaks' | 'place'>, declared: DeclaredType): AudioFacts => ({
  ...scan,
  mediaType: mediaTypeOf(scan, declared),
  flags: isContradicted(scan.container, declared) ? [...scan.flags, 'type_mismatch'] : scan.flags,
});

const mediaTypeOf = (
  { container, codec }: Pick<AudioScan, 'container' | 'codec'>,
  { raw }: DeclaredType,
): string => {
  if (container === null) return 'application/octet-stream';
  if (container === 'raw') return raw!.mediaType;
  return codec === 'amr_wb' && container === 'amr' ? 'audio/amr-wb' : mediaTypes[container];
};

/** What is not recognised contradicts nobody, and Sun's container has often been called by its usual contents. */
const isContradicted = (container: Container | null, declared: DeclaredType): boolean =>
  container !== null &&
  declared.container !== null &&
  container !== declared.container &&
  !(container === 'au' && declared.raw?.codec === 'ulaw') &&
  !(isMatroska(container) && isMatroska(declared.container));

/** WebM is a kind of Matroska. */
const isMatroska = (container: Container): boolean => container === 'webm' || container === 'matroska';
