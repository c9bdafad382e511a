import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  cosignedBytes,
  formatNote,
  formatNoteKey,
  keyTypes,
  MAX_NOTE_BYTES,
  type Note,
  type NoteKey,
  noteKey,
  parseNote,
  parseNoteKey,
  verifyNote,
} from '../../../../src/core/audit/note.ts';

/** The example of golang.org/x/mod/sumdb/note, whose keys and signatures are constants. */
const SAYING =
  'If you think cryptography is the answer to your problem,\nthen you don’t know what your problem is.\n'.replace(
    '’',
    "'",
  );
const NEUMANN =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const ROOT =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';
const neumann = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const root = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop';
const keyOf = (text: string): NoteKey => parseNoteKey(text)!;

const named = (
  name: string,
  type: NoteKey['type'] = keyTypes.ed25519,
): { key: NoteKey; secret: KeyObject } => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
  return { key: noteKey(name, type, raw), secret: privateKey };
};
const signed = (text: string, { key, secret }: ReturnType<typeof named>) => ({
  name: key.name,
  keyId: key.id,
  bytes: sign(null, Buffer.from(text), secret),
});
const cosigned = (text: string, seconds: bigint, { key, secret }: ReturnType<typeof named>) => {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(seconds);
  return {
    name: key.name,
    keyId: key.id,
    bytes: Buffer.concat([time, sign(null, cosignedBytes(text, seconds), secret)]),
  };
};

describe('known answers of another implementation', () => {
  test('two signatures, whichever keys one knows', () => {
    const note = parseNote(`${SAYING}\n${NEUMANN}${ROOT}`)!;
    expect(note.text).toBe(SAYING);
    const names = (...keys: string[]) => verifyNote(note, keys.map(keyOf))?.map(({ key }) => key.name);
    expect(names(neumann, root)).toEqual(['PeterNeumann', 'EnochRoot']);
    expect(names(root)).toEqual(['EnochRoot']);
    expect(names()).toEqual([]);
    expect(formatNote(note)).toBe(`${SAYING}\n${NEUMANN}${ROOT}`);
  });

  test('keys are read and written as they are', () => {
    for (const text of [neumann, root]) expect(formatNoteKey(keyOf(text))).toBe(text);
  });

  test('another text, another key under the same name: refused', () => {
    const other = parseNote(`${SAYING.replace('you', 'You')}\n${NEUMANN}`)!;
    expect(verifyNote(other, [keyOf(neumann)])).toBeNull();
    const impostor = { ...keyOf(root), name: 'PeterNeumann', id: keyOf(neumann).id };
    expect(verifyNote(parseNote(`${SAYING}\n${NEUMANN}`)!, [impostor])).toBeNull();
  });
});

describe('keys', () => {
  test.each([
    ['nothing', ''],
    ['another id', neumann.replace('c74f20a3', 'c74f20a4')],
    ['another name', neumann.replace('Peter', 'Petra')],
    ['an upper-case id', neumann.replace('c74f20a3', 'C74F20A3')],
    ['a type nobody knows', neumann.replace('+AR', '+Ah')],
    ['base64 that is not canonical', `${neumann}=`],
    ['base64 of something longer', neumann.replace(/W$/, 'WAAAA')],
    ['white space in the name', neumann.replace('Peter', 'Peter ')],
  ])('%s: no key', (_what, text) => {
    expect(parseNoteKey(text)).toBeNull();
  });

  test('every changed character of a key is noticed', () => {
    for (let i = 0; i < neumann.length; i += 1)
      for (const by of ['A', '0', '+', '\n'])
        if (neumann[i] !== by)
          expect(parseNoteKey(neumann.slice(0, i) + by + neumann.slice(i + 1))).toBeNull();
  });

  test.each(['', 'a b', 'a+b', 'a\nb', 'a\u00a0b', 'x'.repeat(256)])('%j is no name', (name) => {
    expect(() => noteKey(name, keyTypes.ed25519, Buffer.alloc(32))).toThrow(RangeError);
  });
});

describe('what is no note', () => {
  const good = `${SAYING}\n${NEUMANN}`;
  test.each([
    ['empty', ''],
    ['without a signature', `${SAYING}\n`],
    ['without a blank line', `${SAYING}${NEUMANN}`],
    ['without the last line feed', good.slice(0, -1)],
    ['a hyphen instead of the dash', good.replace('—', '-')],
    ['a control character', good.replace('If', 'If\u0007')],
    ['carriage returns', good.replaceAll('\n', '\r\n')],
    ['half a surrogate pair', good.replace('If', 'If\ud800')],
    ['a signature that is not canonical base64', good.replace('nAM=\n', 'nAN=\n')],
    ['a signature of an id alone', `${SAYING}\n— PeterNeumann x08goA==\n`],
    ['more signatures than anybody makes', `${SAYING}\n${NEUMANN.repeat(65)}`],
    ['longer than is read', `${'x'.repeat(MAX_NOTE_BYTES)}\n\n${NEUMANN}`],
  ])('%s', (_what, text) => {
    expect(parseNote(text)).toBeNull();
  });

  test('a text that could be read as something else is not written', () => {
    expect(() => formatNote({ text: 'no end', signatures: [] })).toThrow(RangeError);
    expect(() => formatNote({ text: 'tab\t\n', signatures: [] })).toThrow(RangeError);
  });
});

describe('signatures of our own', () => {
  const [log, witness] = [named('log.example'), named('witness.example', keyTypes.cosignature)];
  const text = 'log.example\n7\nroot\n';
  const note: Note = { text, signatures: [signed(text, log), cosigned(text, 1_763_719_200n, witness)] };

  test('a log and a witness, with the second the witness saw it', () => {
    expect(verifyNote(parseNote(formatNote(note))!, [witness.key, log.key])).toEqual([
      { key: log.key, seconds: null },
      { key: witness.key, seconds: 1_763_719_200 },
    ]);
  });

  test('a witness’s signature cannot be given another time or passed off as an ordinary one', () => {
    const moved = cosigned(text, 1n, witness);
    moved.bytes.writeBigUInt64BE(2n);
    expect(verifyNote({ text, signatures: [moved] }, [witness.key])).toBeNull();
    const plain = signed(text, { ...witness });
    expect(verifyNote({ text, signatures: [plain] }, [witness.key])).toBeNull();
    const never = cosigned(text, 2n ** 63n, witness);
    expect(verifyNote({ text, signatures: [never] }, [witness.key])).toBeNull();
  });

  test('a key counts once, however often it signs', () => {
    const twice = { text, signatures: [signed(text, log), signed(text, log)] };
    expect(verifyNote(twice, [log.key])).toHaveLength(1);
    const often = { text, signatures: [5n, 9n].map((second) => cosigned(text, second, witness)) };
    expect(verifyNote(often, [witness.key])).toEqual([{ key: witness.key, seconds: 5 }]);
  });
});
