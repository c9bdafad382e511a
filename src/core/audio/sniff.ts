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

export type Sniffed =
  | { readonly kind: 'audio'; readonly container: Container }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Perhaps MP3, which has no magic; perhaps nothing known. */
  | { readonly kind: 'unknown' };

/** Bytes {@link sniff} wants to see; it works with fewer. */
export const SNIFF_BYTES = 512;

type Magic<T> = { readonly is: T; readonly at?: number; readonly bytes: string };

/** Tried in order: AMR begins like a script. `bytes` are latin-1 characters; `?` stands for any byte. */
const containers: readonly Magic<Container>[] = [
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

/** Tells the kind of a stream by its first bytes, which are attacker-controlled. Promises: never throws. */
export const sniff = (head: Buffer): Sniffed => {
  const text = head.subarray(0, SNIFF_BYTES).toString('latin1');
  const container = find(containers, text);
  if (container !== null) return { kind: 'audio', container };
  const refusal = find(refusals, text);
  return refusal === null ? { kind: 'unknown' } : { kind: 'refused', refusal };
};

const find = <T>(table: readonly Magic<T>[], text: string): T | null =>
  table.find(({ at = 0, bytes }) => matches(text.slice(at, at + bytes.length), bytes))?.is ?? null;

const matches = (text: string, magic: string): boolean =>
  text.length === magic.length && [...magic].every((wanted, i) => wanted === '?' || wanted === text[i]);
