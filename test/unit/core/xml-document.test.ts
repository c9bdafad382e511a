import { expect, test } from 'vitest';
import { MAX_XML_BYTES, readXml, XmlFault } from '../../../src/core/xml-document.ts';

const read = (text: string | Uint8Array) => readXml(typeof text === 'string' ? Buffer.from(text) : text);
const faultOf = (text: string | Uint8Array): XmlFault => {
  try {
    read(text);
  } catch (error) {
    if (error instanceof XmlFault) return error;
    throw error;
  }
  throw new Error('it was read');
};

const SECRET = '0701740699';
const laughs = `<!DOCTYPE lolz [<!ENTITY a "${SECRET}">${Array.from(
  { length: 9 },
  (_, n) => `<!ENTITY a${n} "&a${n - 1};&a${n - 1};&a${n - 1};&a${n - 1};&a${n - 1};">`,
).join('')}]><r>&a8;</r>`;

test.each<readonly [string, string | Uint8Array, RegExp]>([
  ['a billion laughs', laughs, /document type/],
  ['an external entity', `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>`, /document type/],
  ['a document type elsewhere', '<!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd"><r/>', /document type/],
  ['a document type that never ends', `<!DOCTYPE r [<`, /well-formed/],
  ['an entity that nobody declared', '<r>&x;</r>', /well-formed/],
  ['an entity named like what every object has', '<r>&constructor;</r>', /well-formed/],
  ['more bytes than are read', Buffer.alloc(MAX_XML_BYTES + 1, 0x20), /longer than 262144 bytes/],
  ['levels without end', '<a>'.repeat(50_000), /nested too deeply/],
  ['elements without end', `<r>${'<a/>'.repeat(40_000)}</r>`, /more than 10000 elements/],
  ['no end', `<r><number>${SECRET}`, /well-formed/],
  ['ends in the wrong order', `<r><a>${SECRET}</r></a>`, /well-formed/],
  ['an attribute twice', `<r a="${SECRET}" a="2"/>`, /well-formed/],
  ['two roots', '<r/><r/>', /well-formed/],
  ['no element', `  ${SECRET}  `, /well-formed/],
  ['nothing', '', /well-formed/],
  ['NUL bytes', '<r>\u0000</r>', /well-formed/],
  ['another encoding than it says', Buffer.from('<r>R\xe5d</r>', 'latin1'), /encoding/],
  ['an encoding that is not read', '<?xml version="1.0" encoding="UTF-7"?><r/>', /encoding/],
  [
    'half a UTF-16',
    Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('<', 'utf16le'), Buffer.from([0x00])]),
    /encoding/,
  ],
])('%s: refused, and nothing of it is repeated', (_, text, fault) => {
  const { message, where } = faultOf(text);
  expect(message).toMatch(fault);
  expect(`${where} ${message}`).not.toContain(SECRET);
});

test('a fault names the element by its path, and no name that could itself be a number', () => {
  expect(faultOf('<recording><session><bad').where).toBe('recording/session');
  expect(faultOf(`<recording><n${SECRET}><bad`).where).toBe('recording/…');
});

test.each([
  ['UTF-8 with a mark', Buffer.from('\ufeff<r>Råd</r>')],
  ['UTF-16', Buffer.from('\ufeff<?xml version="1.0" encoding="UTF-16"?><r>Råd</r>', 'utf16le')],
  ['ISO-8859-1', Buffer.from('<?xml version="1.0" encoding="ISO-8859-1"?><r>R\xe5d</r>', 'latin1')],
  ['windows-1252', Buffer.from("<?xml version='1.0' encoding='windows-1252'?><r>R\xe5d</r>", 'latin1')],
])('text in %s', (_, bytes) => {
  expect(read(bytes).text).toBe('Råd');
});

test('elements and attributes have their local names, text its entities', () => {
  const root = read(
    '<x:a xmlns:x="urn:x" x:id="1" id="2"><!-- no --><x:b> A &amp; <![CDATA[<B>]]> &#229; </x:b><c xml:lang="sv"/></x:a>',
  );
  expect(root).toMatchObject({ name: 'a', path: 'a', text: '' });
  expect([...root.attributes]).toEqual([['id', '2']]);
  expect(root.children.map(({ name, path, text }) => [name, path, text])).toEqual([
    ['b', 'a/b', 'A & <B> å'],
    ['c', 'a/c', ''],
  ]);
});
