import { expect, test } from 'vitest';
import {
  formatNote,
  formatNoteKey,
  parseNote,
  parseNoteKey,
  verifyNote,
} from '../../../src/core/audit/note.ts';
import { createKeyCache } from '../../../src/crypto/key-cache.ts';
import { createNoteSigner } from '../../../src/crypto/note-signer.ts';
import { createKeyMaterial } from '../../support/key-material.ts';

const NAME = 'callvault.00000000-0000-4000-8000-000000000001';
const TEXT = `${NAME}\n1\n${Buffer.alloc(32).toString('base64')}\n`;

test('what it signs verifies with the key it states, the same text alike every time, and also after a restart', async () => {
  const { keys, store, clock } = await createKeyMaterial();
  const signer = await createNoteSigner(keys, NAME);
  const again = await createNoteSigner(createKeyCache({ store, now: clock.now }), NAME);
  const note = formatNote({ text: TEXT, signatures: [await signer.sign(TEXT)] });
  expect(formatNote({ text: TEXT, signatures: [await again.sign(TEXT)] })).toBe(note);
  const key = parseNoteKey(formatNoteKey(await again.key()))!;
  expect(verifyNote(parseNote(note)!, [key])).toEqual([{ key, seconds: null }]);
});

test('after a rotation the new key signs, and signatures of the old one still count', async () => {
  const { keys } = await createKeyMaterial();
  const signer = await createNoteSigner(keys, NAME);
  const before = await signer.key();
  const note = formatNote({ text: TEXT, signatures: [await signer.sign(TEXT)] });
  await keys.rotate({ organisation: '00000000-0000-0000-0000-000000000000' as never, purpose: 'note' });
  const [newest, older] = await signer.keys();
  expect(older).toEqual(before);
  expect(await signer.key()).toEqual(newest);
  expect(newest).not.toEqual(before);
  expect(verifyNote(parseNote(note)!, await signer.keys())).toHaveLength(1);
});

test('another installation has another key, and a name that is none is refused', async () => {
  const [one, two] = await Promise.all([createKeyMaterial(), createKeyMaterial()]);
  const keyOf = async ({ keys }: typeof one) => (await createNoteSigner(keys, NAME)).key();
  expect((await keyOf(one)).publicKey).not.toEqual((await keyOf(two)).publicKey);
  await expect((await createNoteSigner(one.keys, 'a name')).key()).rejects.toThrow(RangeError);
});
