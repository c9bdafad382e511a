import type { Container } from './facts.ts';

/** What policy does not let into the vault, named by its first bytes. Everything else is kept, however odd. */
export type Refusal =
  | 'elf'
  | 'windows_executable'
  | 'mach_o'
  | 'java_class'
  | 'wasm'
  | 'script'
  | 'zip'
  | 'gzip'
  | 'bzip2'
  | 'xz'
  | 'zstd'
  | 'seven_zip'
  | 'rar'
  | 'tar'
  | 'cab';

/** The containers that begin with a mark of their own. */
export type MagicContainer = Extract<Container, 'wav' | 'ogg' | 'flac' | 'amr' | 'au' | 'mp4' | 'webm'>;

export type Sniffed =
  | { readonly kind: 'audio'; readonly container: MagicContainer }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Perhaps MP3, which has no magic; perhaps nothing known. */
  | { readonly kind: 'unknown' };

/** Bytes {@link sniff} wants to see; it works with fewer. */
export const SNIFF_BYTES = 512;

type Magic<T> = { readonly is: T; readonly at?: number; readonly bytes: string };

/** Tried in order: AMR begins like a script. `bytes` are latin-1 characters; `?` stands for any byte. */
const containers: readonly Magic<MagicContainer>[] = [
  { is: 'wav', bytes: 'RIFF????WAVE' },
  { is: 'wav', bytes: 'RF64????WAVE' },
  { is: 'wav', bytes: 'BW64????WAVE' },
  { is: 'ogg', bytes: 'OggS' },
  { is: 'flac', bytes: 'fLaC' },
  { is: 'amr', bytes: '#!AMR' },
  { is: 'au', bytes: '.snd' },
  { is: 'mp4', at: 4, bytes: 'ftyp' },
  { is: 'webm', bytes: '\x1a\x45\xdf\xa3' },
];

const refusals: readonly Magic<Refusal>[] = [
  { is: 'elf', bytes: '\x7fELF' },
  { is: 'windows_executable', bytes: 'MZ' },
  { is: 'mach_o', bytes: '\xfe\xed\xfa\xce' },
  { is: 'mach_o', bytes: '\xfe\xed\xfa\xcf' },
  { is: 'mach_o', bytes: '\xce\xfa\xed\xfe' },
  { is: 'mach_o', bytes: '\xcf\xfa\xed\xfe' },
  // Java classes and Mach-O for several processors share their first four bytes.
  { is: 'java_class', bytes: '\xca\xfe\xba\xbe' },
  { is: 'wasm', bytes: '\0asm' },
  { is: 'script', bytes: '#!' },
  { is: 'script', bytes: '\xef\xbb\xbf#!' },
  { is: 'zip', bytes: 'PK\x03\x04' },
  { is: 'zip', bytes: 'PK\x05\x06' },
  { is: 'zip', bytes: 'PK\x07\x08' },
  { is: 'gzip', bytes: '\x1f\x8b' },
  { is: 'bzip2', bytes: 'BZh' },
  { is: 'xz', bytes: '\xfd7zXZ\0' },
  { is: 'zstd', bytes: '\x28\xb5\x2f\xfd' },
  { is: 'seven_zip', bytes: '7z\xbc\xaf\x27\x1c' },
  { is: 'rar', bytes: 'Rar!\x1a\x07' },
  { is: 'tar', at: 257, bytes: 'ustar' },
  { is: 'cab', bytes: 'MSCF' },
];

/**
 * Sound without a container begins with any bytes at all. Those that two or three characters would refuse, one call in
 * twenty thousand, must there say more to be taken for a program or an archive.
 */
const MIN_RAW_MAGIC = 4;
const LFANEW_AT = 0x3c;
const longerRefusals: readonly (readonly [Refusal, (head: Buffer, text: string) => boolean])[] = [
  ['windows_executable', (head, text) => text.startsWith('MZ') && hasPeHeader(head)],
  ['script', (_, text) => /^#![ \t]*\/[ -~\t]*\r?\n/.test(text)],
  ['gzip', isGzip],
  ['bzip2', (_, text) => matches(text.slice(0, 10), 'BZh?1AY&SY')],
];

/** Deflate, no reserved flags, a known strength and a known system (RFC 1952 §2.3). */
function isGzip(head: Buffer): boolean {
  const [first, second, method, flags = 0xff, , , , , strength = 0xff, system = 0xfe] = head;
  const known = [0, 2, 4].includes(strength) && (system <= 13 || system === 0xff);
  return first === 0x1f && second === 0x8b && method === 8 && flags < 0x20 && known;
}

/** Of the header that every program of this century has, or of its stub's text where it lies beyond what is seen. */
const hasPeHeader = (head: Buffer): boolean => {
  if (head.length < LFANEW_AT + 4) return false;
  const at = head.readUInt32LE(LFANEW_AT);
  return at + 4 <= head.length ? head.toString('latin1', at, at + 4) === 'PE\0\0' : head.includes('DOS mode');
};

/**
 * Tells the kind of a stream by its first bytes, which are attacker-controlled; `raw` when its sender declares sound without
 * a container. Promises: never throws.
 */
export const sniff = (head: Buffer, raw = false): Sniffed => {
  const text = head.subarray(0, SNIFF_BYTES).toString('latin1');
  const container = find(containers, text);
  if (container !== null) return { kind: 'audio', container };
  const refusal = raw
    ? (find(
        refusals.filter(({ bytes }) => bytes.length >= MIN_RAW_MAGIC),
        text,
      ) ??
      longerRefusals.find(([, is]) => is(head, text))?.[0] ??
      null)
    : find(refusals, text);
  return refusal === null ? { kind: 'unknown' } : { kind: 'refused', refusal };
};

const find = <T>(table: readonly Magic<T>[], text: string): T | null =>
  table.find(({ at = 0, bytes }) => matches(text.slice(at, at + bytes.length), bytes))?.is ?? null;

const matches = (text: string, magic: string): boolean =>
  text.length === magic.length && [...magic].every((wanted, i) => wanted === '?' || wanted === text[i]);
