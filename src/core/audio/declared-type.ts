import { type Codec, type Container, isPlausible } from './facts.ts';

/** What the sender calls a recording. It decides only where the bytes cannot: for sound without any container. */
export type DeclaredType = {
  /** The container it claims, or null when it claims none that is known here. */
  readonly container: Container | null;
  /** How to read the bytes when they have no container of their own; null: not at all. */
  readonly raw: RawFormat | null;
};

export type RawFormat = {
  readonly codec: Codec;
  readonly sampleRate: number;
  readonly channels: number;
  /** The type under which the recording is kept: it says all that is needed to read it. */
  readonly mediaType: string;
};

/** Media type of a container, whatever the upload called it. */
export const mediaTypes: Readonly<Record<Exclude<Container, 'raw'>, string>> = {
  wav: 'audio/wav',
  mp3: 'audio/mpeg',
  ogg: 'audio/ogg',
  flac: 'audio/flac',
  mp4: 'audio/mp4',
  webm: 'audio/webm',
  matroska: 'audio/matroska',
  adts: 'audio/aac',
  amr: 'audio/amr',
  au: 'audio/x-au',
};

/** What senders call the containers, without parameters and without `x-`. Types that are not here claim nothing. */
const containers: ReadonlyMap<string, Container> = new Map([
  ...(Object.entries(mediaTypes) as [Container, string][]).map(
    ([container, type]) => [type.replace('/x-', '/'), container] as const,
  ),
  ['audio/wave', 'wav'],
  ['audio/vnd.wave', 'wav'],
  ['audio/mp3', 'mp3'],
  ['audio/opus', 'ogg'],
  ['audio/vorbis', 'ogg'],
  ['application/ogg', 'ogg'],
  ['audio/m4a', 'mp4'],
  ['audio/aacp', 'adts'],
  ['audio/amr-wb', 'amr'],
]);

type RawType = {
  readonly codec: Codec;
  readonly mediaType: string;
  /** Samples per second where the type says nothing else. */
  readonly rate: number;
  /** One channel at that rate, whatever the parameters: what RTP calls the rate of G.722 is not its rate (RFC 3551 §4.5.2). */
  readonly fixed?: true;
};

const ULAW: RawType = { codec: 'ulaw', mediaType: 'audio/basic', rate: 8000 };
const ALAW: RawType = { codec: 'alaw', mediaType: 'audio/x-alaw', rate: 8000 };
const SLIN: RawType = { codec: 'pcm_s16', mediaType: 'audio/x-slin', rate: 8000 };
const GSM: RawType = { codec: 'gsm610', mediaType: 'audio/gsm', rate: 8000, fixed: true };
const G722: RawType = { codec: 'g722', mediaType: 'audio/g722', rate: 16_000, fixed: true };

/** The names that declare sound without a container; docs/formats.md lists them. */
const rawTypes: ReadonlyMap<string, RawType> = new Map([
  ['audio/slin', SLIN],
  ['audio/sln', SLIN],
  ['audio/l16', { codec: 'pcm_s16be', mediaType: 'audio/L16', rate: 8000 }],
  ['audio/basic', ULAW],
  ['audio/ulaw', ULAW],
  ['audio/mulaw', ULAW],
  ['audio/pcmu', ULAW],
  ['audio/alaw', ALAW],
  ['audio/pcma', ALAW],
  ['audio/gsm', GSM],
  ['audio/g722', G722],
]);

/** Longer than every type with its parameters; what lies behind is not looked at. */
const MAX_CHARS = 100;

/** Reads a Content-Type, which is attacker-controlled. Promises: never throws. */
export const parseDeclaredType = (declared: string): DeclaredType => {
  const [first = '', ...rest] = declared.slice(0, MAX_CHARS).split(';');
  const name = first.trim().toLowerCase().replace('/x-', '/');
  const raw = rawTypes.get(name);
  if (raw === undefined) return { container: containers.get(name) ?? null, raw: null };
  return { container: 'raw', raw: rawFormatOf(raw, rest) };
};

const rawFormatOf = (
  { codec, mediaType, rate, fixed }: RawType,
  parameters: readonly string[],
): RawFormat => {
  const stated = fixed ? { rate, channels: 1 } : statedIn(parameters, rate);
  const isTelephony = stated.rate === rate && stated.channels === 1;
  // Samples of unknown rate are noise to whoever opens them in twenty years, so it is written down for the bare ones.
  const bare = codec === 'pcm_s16' || codec === 'pcm_s16be';
  return {
    codec,
    sampleRate: stated.rate,
    channels: stated.channels,
    mediaType: [
      mediaType,
      ...(bare || !isTelephony ? [`rate=${stated.rate}`] : []),
      ...(stated.channels === 1 ? [] : [`channels=${stated.channels}`]),
    ].join(';'),
  };
};

const statedIn = (parameters: readonly string[], rate: number): { rate: number; channels: number } => {
  const numberOf = (name: string, otherwise: number): number => {
    const pattern = new RegExp(`^\\s*${name}\\s*=\\s*"?(\\d{1,6})"?\\s*$`, 'i');
    const text = parameters.map((parameter) => pattern.exec(parameter)?.[1]).find((found) => found);
    return text === undefined ? otherwise : Number(text);
  };
  const stated = { rate: numberOf('rate', rate), channels: numberOf('channels', 1) };
  return isPlausible(stated.rate, stated.channels) ? stated : { rate, channels: 1 };
};
