import { createHash } from 'node:crypto';
import { parseDeclaredType } from '../../core/audio/declared-type.ts';
import type { AudioFacts } from '../../core/audio/facts.ts';
import { createAudioProbe } from '../../core/audio/probe.ts';
import { SNIFF_BYTES, sniff } from '../../core/audio/sniff.ts';
import { freeBuffer } from '../../core/free-buffer.ts';
import type { OpenFile } from '../file-digest.ts';
import { mediaTypeOf } from '../media-types.ts';

/** What a file is, as far as its own beginning and the ending of its name tell. */
export type Kind = 'recording' | 'not_recording' | 'program_or_archive';

const PROBE_BYTES = 64 * 1024;

/**
 * A name that promises audio is believed, whatever the bytes: what is damaged is for the vault to keep and flag. Programs and
 * archives are none under any name; other names need bytes that are audio.
 */
const kindOf = (head: Buffer, name: string): Kind => {
  const promised = mediaTypeOf(name);
  const { raw } = parseDeclaredType(promised ?? '');
  if (sniff(head.subarray(0, SNIFF_BYTES), raw !== null).kind === 'refused') return 'program_or_archive';
  if (promised !== null) return 'recording';
  const probe = createAudioProbe();
  probe.push(head.subarray(0, PROBE_BYTES));
  return probe.finish().facts.container === null ? 'not_recording' : 'recording';
};

export type Inspected = { readonly kind: Kind; readonly sha256: string };

/** Digest and kind, in one pass. Throws as {@link OpenFile.pieces} does. */
export const inspect = async (file: OpenFile, name: string, signal?: AbortSignal): Promise<Inspected> => {
  const hash = createHash('sha256');
  let kind: Kind | null = null;
  for await (const piece of file.pieces()) {
    signal?.throwIfAborted();
    kind ??= kindOf(piece, name);
    // What the vault will never take is not read to its end.
    if (kind !== 'recording') return { kind, sha256: '' };
    hash.update(piece);
    freeBuffer(piece);
  }
  kind ??= kindOf(Buffer.alloc(0), name);
  return { kind, sha256: hash.digest('hex') };
};

/** The same with all that can be known of the sound: for an inventory. */
export const examine = async (
  file: OpenFile,
  name: string,
  signal?: AbortSignal,
): Promise<Inspected & { readonly facts: AudioFacts }> => {
  const hash = createHash('sha256');
  const declaredMediaType = mediaTypeOf(name);
  const probe = createAudioProbe(declaredMediaType === null ? {} : { declaredMediaType });
  let kind: Kind | null = null;
  for await (const piece of file.pieces()) {
    signal?.throwIfAborted();
    kind ??= kindOf(piece, name);
    if (kind !== 'recording') break;
    hash.update(piece);
    probe.push(piece);
    freeBuffer(piece);
  }
  kind ??= kindOf(Buffer.alloc(0), name);
  return { kind, sha256: hash.digest('hex'), facts: probe.finish().facts };
};
