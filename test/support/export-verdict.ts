import { createExportVerifier, type ExportExpectations } from '../../src/core/audit/export-verify.ts';
import { keyTypes } from '../../src/core/audit/note.ts';
import { newKey, ORIGIN, rangeLines, treeOf } from './export-file.ts';
import { createMemoryLog, eventAt, type MemoryLog, storedEntry, storedLeaf } from './memory-log.ts';

/** A log of {@link SIZE} entries, who signs for it, and the verdict on its exports. */
export const SIZE = 300;
export const log = createMemoryLog(SIZE);
export const own = newKey(ORIGIN);
export const other = newKey(ORIGIN);
export const witness = newKey('witness.test', keyTypes.cosignature);
export const second = newKey('second.test', keyTypes.cosignature);
export const trust = { keys: [own.key], witnesses: [witness.key, second.key], quorum: 0 };
export const signed = { checkpoint: { size: SIZE, signers: [own, witness] } };

export const verdictOf = (file: Buffer, expected: ExportExpectations = {}, piece = 65_536) => {
  const verifier = createExportVerifier(expected);
  for (let at = 0; at < file.length; at += piece) verifier.push(file.subarray(at, at + piece));
  return verifier.finish();
};
export const found = (file: Buffer, expected: ExportExpectations = {}) => {
  const { ok, faults } = verdictOf(file, expected);
  return { ok, kind: faults[0]?.kind, index: faults[0]?.index };
};
export const linesOf = (file: Buffer): string[] => file.toString().split('\n').slice(0, -2);
export const anchorAt = (size: number, of: MemoryLog = log) => ({
  size,
  root: treeOf(of).root(size).toString('hex'),
});
export const changedLog = (change: (changed: MemoryLog) => void): MemoryLog => {
  const copy = { ...log, leaves: [...log.leaves], entries: [...log.entries] };
  change(copy);
  return copy;
};
/** Body and commitment of one entry rewritten together. */
export const forgedAt = (seq: number): MemoryLog =>
  changedLog((copy) => {
    copy.entries[seq] = storedEntry(seq, { ...eventAt(seq), outcome: 'denied' });
    copy.leaves[seq] = storedLeaf(copy.entries[seq]);
  });

/** The whole log as an export has it, without its end. */
export const lines = rangeLines(log, signed);
