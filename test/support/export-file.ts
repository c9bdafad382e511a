import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { formatCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { leafOf } from '../../src/core/audit/commitment.ts';
import {
  type ExportHeader,
  type ExportLine,
  encodeHashes,
  formatEnd,
  formatHeader,
  formatLine,
} from '../../src/core/audit/export-format.ts';
import { emptyRange, extendRange, rootOf } from '../../src/core/audit/merkle.ts';
import {
  cosignedBytes,
  formatNote,
  keyTypes,
  type NoteKey,
  type NoteSignature,
  noteKey,
} from '../../src/core/audit/note.ts';
import { consistencyPath, inclusionPath, type Stretch } from '../../src/core/audit/proof.ts';
import type { MemoryLog } from './memory-log.ts';

/** Exports as the vault writes them, of a log in memory. */
export type TestKey = {
  readonly key: NoteKey;
  readonly sign: (text: string, seconds?: bigint) => NoteSignature;
};

const rawOf = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');

export const newKey = (name: string, type: NoteKey['type'] = keyTypes.ed25519): TestKey => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const key = noteKey(name, type, rawOf(publicKey));
  return {
    key,
    sign: (text, seconds = 1_763_719_300n) => {
      if (type === keyTypes.ed25519)
        return { name, keyId: key.id, bytes: sign(null, Buffer.from(text), privateKey) };
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(seconds);
      const bytes = Buffer.concat([time, sign(null, cosignedBytes(text, seconds), privateKey)]);
      return { name, keyId: key.id, bytes };
    },
  };
};

export const treeOf = (log: Pick<MemoryLog, 'leaves'>) => {
  const leaves = log.leaves.map(({ commitment }) => leafOf(commitment));
  const rangeOf = (size: number) => extendRange(emptyRange, leaves.slice(0, size));
  const hashOf = ({ start, end }: Stretch): Buffer =>
    rootOf(extendRange(emptyRange, leaves.slice(start, end)));
  return {
    root: (size: number): Buffer => rootOf(rangeOf(size)),
    range: (size: number) => rangeOf(size).hashes,
    inclusion: (seq: number, size: number) => inclusionPath(seq, size).map(hashOf),
    consistency: (from: number, to: number) => consistencyPath(from, to).map(hashOf),
  };
};

export const ORIGIN = 'callvault.test';

export const noteOf = (
  log: MemoryLog,
  size: number,
  signers: readonly TestKey[],
  origin = ORIGIN,
): string => {
  const text = formatCheckpoint({ origin, size, root: treeOf(log).root(size) });
  return formatNote({ text, signatures: signers.map((signer) => signer.sign(text)) });
};

type Wanted = {
  readonly from?: number;
  readonly to?: number;
  readonly size?: number;
  /** Place of the log's entry about it; as a vault writes it, the one behind the tree. */
  readonly entry?: number;
  /** Size of the checkpoint and who signed it; none: no checkpoint. */
  readonly checkpoint?: { readonly size: number; readonly signers: readonly TestKey[] } | null;
  readonly withheld?: (seq: number) => boolean;
  readonly change?: (line: ExportLine) => ExportLine;
};

const emptyFilter = { recording: null, actor: null, subjects: null, since: null, until: null };

const commonOf = (log: MemoryLog, { size = log.leaves.length, checkpoint = null, entry = size }: Wanted) => ({
  origin: checkpoint === null ? null : ORIGIN,
  filter: emptyFilter,
  entry,
  size,
  root: treeOf(log).root(size).toString('base64'),
  checkpoint: checkpoint && noteOf(log, checkpoint.size, checkpoint.signers),
  consistency: encodeHashes(checkpoint === null ? [] : treeOf(log).consistency(checkpoint.size, size)),
});

export const lineAt = (log: MemoryLog, seq: number, withheld = false): ExportLine => {
  const { salt, body } = log.entries[seq]!;
  const content = withheld ? ('withheld' as const) : { salt, body };
  return { seq, commitment: log.leaves[seq]!.commitment, columns: [], proof: null, content };
};

/** A file of these lines, with an end that fits. */
export const fileOf = (lines: readonly string[]): Buffer => {
  const start = lines.map((line) => `${line}\n`).join('');
  const end = createHash('sha256').update(start).digest('hex');
  return Buffer.from(`${start}${formatEnd({ end, entries: lines.length - 1 })}\n`);
};

export const rangeHeader = (log: MemoryLog, wanted: Wanted = {}): ExportHeader => {
  const { from = 0, to = log.leaves.length, size = log.leaves.length } = wanted;
  const tree = treeOf(log);
  return {
    kind: 'range',
    ...commonOf(log, wanted),
    from,
    to,
    before: encodeHashes(tree.range(from)),
    after: encodeHashes(tree.consistency(to, size)),
  };
};

export const rangeLines = (log: MemoryLog, wanted: Wanted = {}): string[] => {
  const {
    from = 0,
    to = log.leaves.length,
    withheld = () => false,
    change = (line: ExportLine) => line,
  } = wanted;
  const lines = Array.from({ length: to - from }, (_, i) =>
    change(lineAt(log, from + i, withheld(from + i))),
  );
  return [formatHeader(rangeHeader(log, wanted)), ...lines.map(formatLine)];
};

export const rangeFile = (log: MemoryLog, wanted: Wanted = {}): Buffer => fileOf(rangeLines(log, wanted));

/** Entries chosen by place, as if the filter had found them. */
export const selectionLines = (
  log: MemoryLog,
  seqs: readonly number[],
  wanted: Wanted & { readonly filter?: Partial<ExportHeader['filter']> } = {},
): string[] => {
  const { size = log.leaves.length, change = (line: ExportLine) => line } = wanted;
  const header: ExportHeader = {
    kind: 'selection',
    ...commonOf(log, wanted),
    filter: { ...emptyFilter, ...wanted.filter },
  };
  const lines = seqs.map((seq) => change({ ...lineAt(log, seq), proof: treeOf(log).inclusion(seq, size) }));
  return [formatHeader(header), ...lines.map(formatLine)];
};
