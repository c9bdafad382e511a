import { SaxesParser } from 'saxes';
import { showableName } from './number-like.ts';

/** Longest document, in bytes. */
export const MAX_XML_BYTES = 262_144;
const MAX_DEPTH = 32;
const MAX_ELEMENTS = 10_000;

/** An element by its local name: which prefix and which namespace it has differs from maker to maker. */
export type XmlElement = {
  readonly name: string;
  /** Names from the root on, such as recording/session; `…` in the place of what may not be shown. */
  readonly path: string;
  /** By local names; declarations of namespaces left out. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** Its own, without that of its children, trimmed. */
  readonly text: string;
};

export const childrenNamed = (element: XmlElement, ...names: readonly string[]): readonly XmlElement[] =>
  element.children.filter(({ name }) => names.includes(name));

/** All below it that have the name, in the order of the document. */
export function* below(element: XmlElement, name: string): Generator<XmlElement> {
  for (const child of element.children) {
    if (child.name === name) yield child;
    yield* below(child, name);
  }
}

/** What makes the bytes no document, as the end of a sentence about `where`; neither repeats a value. */
export class XmlFault extends Error {
  readonly where: string;

  constructor(where: string, message: string) {
    super(message);
    this.name = 'XmlFault';
    this.where = where;
  }
}

/** Encodings of documents that say which they have; a document that says nothing is UTF-8. */
const encodings: ReadonlySet<string> = new Set(['utf-8', 'us-ascii', 'iso-8859-1', 'windows-1252']);
const MARKS = [
  { label: 'utf-16le', bytes: [0xff, 0xfe] },
  { label: 'utf-16be', bytes: [0xfe, 0xff] },
] as const;

const textOf = (bytes: Uint8Array): string => {
  const mark = MARKS.find(({ bytes: [first, second] }) => bytes[0] === first && bytes[1] === second);
  const head = Buffer.from(bytes.subarray(0, 200)).toString('latin1');
  const said = /^[^<]{0,3}<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]{0,40})["']/.exec(head)?.[1];
  const label = mark?.label ?? said?.toLowerCase() ?? 'utf-8';
  if (mark === undefined && !encodings.has(label))
    throw new XmlFault('xml', 'is in an encoding that is not read: write UTF-8');
  try {
    return new TextDecoder(label === 'us-ascii' ? 'utf-8' : label, { fatal: true }).decode(bytes);
  } catch {
    throw new XmlFault('xml', 'is not in the encoding that it has to be in: write UTF-8');
  }
};

const localOf = (name: string): string => name.slice(name.indexOf(':') + 1);

const attributesOf = (given: Readonly<Record<string, string>>): Map<string, string> => {
  const attributes = new Map<string, string>();
  for (const [name, value] of Object.entries(given)) {
    if (name === 'xmlns' || name.startsWith('xmlns:')) continue;
    const local = localOf(name);
    // That of the element's own maker before one of another namespace.
    if (local === name || !attributes.has(local)) attributes.set(local, value);
  }
  return attributes;
};

type Open = XmlElement & { readonly children: XmlElement[]; text: string };

/** What saxes tells, as a tree. Its own messages repeat the document, so none of them goes on. */
const createTree = () => {
  const open: Open[] = [];
  let root: Open | null = null;
  let elements = 0;
  const top = (): Open | undefined => open.at(-1);
  return {
    root: () => root,
    where: (): string => top()?.path ?? 'xml',
    open(tagName: string, given: Readonly<Record<string, string>>): void {
      const name = localOf(tagName);
      const parent = top();
      const shown = showableName(name) ?? '…';
      const path = parent === undefined ? shown : `${parent.path}/${shown}`;
      elements += 1;
      if (open.length >= MAX_DEPTH) throw new XmlFault(parent?.path ?? 'xml', 'is nested too deeply');
      if (elements > MAX_ELEMENTS) throw new XmlFault('xml', `has more than ${MAX_ELEMENTS} elements`);
      const element: Open = { name, path, attributes: attributesOf(given), children: [], text: '' };
      parent?.children.push(element);
      root ??= element;
      open.push(element);
    },
    text(text: string): void {
      const element = top();
      if (element !== undefined) element.text += text;
    },
    close(): void {
      const element = open.pop();
      if (element !== undefined) element.text = element.text.trim();
    },
  };
};

/**
 * The root of a document that is attacker-controlled: of 256 KiB, 32 levels and 10,000 elements at most. There is no document
 * type and no entity but those of XML itself; a document that declares one is refused, so that nothing is ever looked up or
 * multiplied. Throws {@link XmlFault}.
 */
export const readXml = (bytes: Uint8Array): XmlElement => {
  if (bytes.length > MAX_XML_BYTES) throw new XmlFault('xml', `is longer than ${MAX_XML_BYTES} bytes`);
  const text = textOf(bytes);
  const tree = createTree();
  const parser = new SaxesParser({ position: false, xmlns: false } as const);
  // The library's own table has what every object has: &constructor; would be text.
  parser.ENTITIES = Object.assign(Object.create(null), { amp: '&', gt: '>', lt: '<', quot: '"', apos: "'" });
  const unreadable = (): never => {
    throw new XmlFault(tree.where(), 'is not well-formed XML');
  };
  parser.on('error', unreadable);
  parser.on('doctype', () => {
    throw new XmlFault('xml', 'has a document type (DOCTYPE), which is not read');
  });
  parser.on('opentag', ({ name, attributes }) => tree.open(name, attributes));
  parser.on('text', tree.text);
  parser.on('cdata', tree.text);
  parser.on('closetag', tree.close);
  try {
    parser.write(text).close();
  } catch (error) {
    if (error instanceof XmlFault) throw error;
    return unreadable();
  }
  return tree.root() ?? unreadable();
};
