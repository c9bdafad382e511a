import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { formatCheckpoint } from '../../../../src/core/audit/checkpoint.ts';
import { cosignatureOf, witnessName } from '../../../../src/core/audit/cosignature.ts';
import { emptyRange, extendRange, leafHash, rootOf } from '../../../../src/core/audit/merkle.ts';
import {
  cosignedBytes,
  formatNote,
  keyTypes,
  type NoteKey,
  noteKey,
  signatureLine,
} from '../../../../src/core/audit/note.ts';
import {
  formatAddCheckpoint,
  judgeCheckpoint,
  originOf,
  parseAddCheckpoint,
  unseenTree,
} from '../../../../src/core/audit/witness.ts';
import { consistencyProof } from '../../../support/reference-proofs.ts';

const newKey = (name: string, type: NoteKey['type'] = keyTypes.ed25519) => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { key: noteKey(name, type, raw), privateKey };
};

const ORIGIN = 'callvault.example';
const log = newKey(ORIGIN);
const leaves = Array.from({ length: 40 }, (_, i) => leafHash(Buffer.of(i)));
const treeOf = (size: number, of = leaves) => {
  const range = extendRange(emptyRange, of.slice(0, size));
  return { size, root: rootOf(range) };
};
const noteOf = (tree: { size: number; root: Buffer }, by = log, origin = ORIGIN): string => {
  const text = formatCheckpoint({ origin, ...tree });
  const bytes = sign(null, Buffer.from(text), by.privateKey);
  return formatNote({ text, signatures: [{ name: by.key.name, keyId: by.key.id, bytes }] });
};
const proofOf = (from: number, to: number) => consistencyProof(leaves.slice(0, to), from);

/** The verdict's kind, over the wire form. */
const kindOf = (
  { from, to, ...rest }: { from: number; to: number; proof?: Buffer[]; note?: string; oldSize?: number },
  { keys = [log.key], seen = treeOf(from) }: { keys?: NoteKey[]; seen?: { size: number; root: Buffer } } = {},
): string => {
  const asked = { oldSize: from, proof: proofOf(from, to), note: noteOf(treeOf(to)), ...rest };
  return judgeCheckpoint(parseAddCheckpoint(formatAddCheckpoint(asked)), { keys, seen }).kind;
};

/** The example of C2SP tlog-witness, shortened to its form. */
const EXAMPLE = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`;

describe('the wire', () => {
  test('a known request is read and written as it is', () => {
    const read = parseAddCheckpoint(EXAMPLE)!;
    expect(read).toMatchObject({ oldSize: 20_852_014 });
    expect(read.proof).toHaveLength(4);
    expect(originOf(read)).toBe('example.com/behind-the-sofa');
    expect(formatAddCheckpoint(read)).toBe(EXAMPLE);
  });

  test('63 hashes and not one more', () => {
    const asked = (count: number) => ({
      oldSize: 1,
      proof: Array<Buffer>(count).fill(leaves[0]!),
      note: 'x',
    });
    expect(parseAddCheckpoint(formatAddCheckpoint(asked(63)))?.proof).toHaveLength(63);
    expect(parseAddCheckpoint(formatAddCheckpoint(asked(64)))).toBeNull();
  });

  test.each([
    ['nothing', ''],
    ['no size', EXAMPLE.replace(/^old \d+\n/, '')],
    ['a leading zero', EXAMPLE.replace('old 2', 'old 02')],
    ['a sign', EXAMPLE.replace('old ', 'old -')],
    ['a size beyond counting', EXAMPLE.replace('20852014', '9007199254740992')],
    ['two spaces', EXAMPLE.replace('old ', 'old  ')],
    ['a short hash', EXAMPLE.replace('PlRN', '')],
    ['a hash that is not canonical', EXAMPLE.replace('pkaw=', 'pkax=')],
    ['a hash with a carriage return', EXAMPLE.replace('pkaw=', 'pkaw=\r')],
    ['no blank line', EXAMPLE.replaceAll('\n\n', '\n')],
    ['too much', `${EXAMPLE}${'x'.repeat(70_000)}`],
  ])('%s: no request', (_what, body) => {
    expect(parseAddCheckpoint(body)).toBeNull();
  });
});

describe('what a witness cosigns', () => {
  test('every growth from every size, and the same tree again', () => {
    for (let from = 0; from <= 40; from += 1)
      for (let to = from; to <= 40; to += 1)
        expect(kindOf({ from, to }, { seen: from === 0 ? unseenTree : treeOf(from) })).toBe('accepted');
  });

  test('what it accepts is what is to be remembered', () => {
    const request = { oldSize: 0, proof: [], note: noteOf(treeOf(5)) };
    expect(judgeCheckpoint(request, { keys: [log.key], seen: unseenTree })).toEqual({
      kind: 'accepted',
      origin: ORIGIN,
      tree: treeOf(5),
      text: formatCheckpoint({ origin: ORIGIN, ...treeOf(5) }),
    });
  });
});

describe('what it refuses', () => {
  const forked = treeOf(9, leaves.with(2, leafHash(Buffer.of(99))));
  const stranger = newKey(ORIGIN);
  const strangerNote = noteOf(treeOf(9), stranger);

  test.each([
    ['a log it does not know', { from: 3, to: 9 }, { keys: [] }, 'unknown_log'],
    ['a key it does not know', { from: 3, to: 9, note: strangerNote }, {}, 'not_signed'],
    [
      'a signature that is wrong',
      { from: 3, to: 9, note: noteOf(treeOf(9)).replace('\n9\n', '\n8\n') },
      {},
      'not_signed',
    ],
    ['no checkpoint', { from: 3, to: 9, note: noteOf(treeOf(9)).replace('\n9\n', '\nx\n') }, {}, 'malformed'],
    ['no note', { from: 3, to: 9, note: 'x' }, {}, 'malformed'],
    ['a tree that is smaller than the old one', { from: 9, to: 9, oldSize: 10 }, {}, 'malformed'],
    ['an older size than it has seen', { from: 3, to: 9 }, { seen: treeOf(5) }, 'conflict'],
    ['a newer size than it has seen', { from: 5, to: 9 }, { seen: treeOf(3) }, 'conflict'],
    ['nothing seen, when something was', { from: 0, to: 9 }, { seen: treeOf(3) }, 'conflict'],
    ['something seen, when nothing was', { from: 3, to: 9 }, { seen: unseenTree }, 'conflict'],
    ['the same size with another root', { from: 9, to: 9, note: noteOf(forked) }, {}, 'conflict'],
    ['a fork', { from: 3, to: 9, note: noteOf(forked) }, {}, 'inconsistent'],
    [
      'a fork of what was seen',
      { from: 3, to: 9 },
      { seen: treeOf(3, leaves.with(1, leaves[9]!)) },
      'inconsistent',
    ],
    ['no proof', { from: 3, to: 9, proof: [] }, {}, 'inconsistent'],
    [
      'a proof that is too long',
      { from: 3, to: 9, proof: [...proofOf(3, 9), leaves[0]!] },
      {},
      'inconsistent',
    ],
    ['a proof from nothing', { from: 0, to: 9, proof: [leaves[0]!] }, { seen: unseenTree }, 'inconsistent'],
    ['a proof of the same tree', { from: 9, to: 9, proof: [leaves[0]!] }, {}, 'inconsistent'],
  ] as const)('%s', (_what, asked, known, kind) => {
    expect(kindOf(asked as Parameters<typeof kindOf>[0], known as Parameters<typeof kindOf>[1])).toBe(kind);
  });

  test('an empty tree that is not empty', () => {
    const note = noteOf({ size: 0, root: leaves[0]! });
    expect(kindOf({ from: 0, to: 0, note }, { seen: unseenTree })).toBe('conflict');
  });

  test('a conflict states what was seen', () => {
    const request = { oldSize: 3, proof: [], note: noteOf(treeOf(9)) };
    expect(judgeCheckpoint(request, { keys: [log.key], seen: treeOf(5) })).toEqual({
      kind: 'conflict',
      size: 5,
    });
  });
});

describe('what a log takes for a cosignature', () => {
  const witness = newKey('witness.example/w1', keyTypes.cosignature);
  const note = noteOf(treeOf(5));
  const text = formatCheckpoint({ origin: ORIGIN, ...treeOf(5) });
  const lineOf = (of = text, by = witness, seconds = 1_763_719_200n): string => {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(seconds);
    const bytes = Buffer.concat([time, sign(null, cosignedBytes(of, seconds), by.privateKey)]);
    return signatureLine({ name: by.key.name, keyId: by.key.id, bytes });
  };

  test('a line of this witness over this text, among others', () => {
    const other = lineOf(text, newKey('other.example', keyTypes.cosignature));
    for (const lines of [lineOf(), other + lineOf(), lineOf() + other]) {
      const found = cosignatureOf(note, lines, witness.key)!;
      expect(signatureLine(found)).toBe(lineOf());
    }
    expect(witnessName(witness.key)).toMatch(/^witness\.example\/w1\+[0-9a-f]{8}$/);
  });

  test.each([
    ['nothing', ''],
    ['words', 'ok\n'],
    ['over another text', lineOf(formatCheckpoint({ origin: ORIGIN, ...treeOf(6) }))],
    ['of another witness', lineOf(text, newKey('witness.example/w1', keyTypes.cosignature))],
    ['without its end', lineOf().slice(0, -1)],
    ['with a text of its own before it', `x\n\n${lineOf()}`],
    ['over such a text', `x\n\n${lineOf(`${text}\nx\n`)}`],
    ['that is the log’s own', note.slice(note.indexOf('\n\n') + 2)],
    [
      'with another time',
      lineOf().replace(/ (\S+)\n$/, (_all, encoded: string) => {
        const bytes = Buffer.from(encoded, 'base64');
        bytes[11] = bytes[11]! ^ 1;
        return ` ${bytes.toString('base64')}\n`;
      }),
    ],
  ])('not a line %s', (_what, lines) => {
    expect(cosignatureOf(note, lines, witness.key)).toBeNull();
  });
});
