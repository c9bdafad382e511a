import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A caller's number that nobody has (070-174 06 05 to 99 are kept free for fiction), a test identity number, a word. */
export const canary = {
  number: '070-174 06 93',
  international: '+46701740693',
  digits: '0701740693',
  personalNumber: '18900101-9802',
  word: 'quokka',
} as const;

/** What every spelling of the two numbers has in common. */
const CORES = { number: '701740693', 'identity number': '9001019802' } as const;

/** The digits in this order with up to four others between them: 070-174 06 93, UTF-16, both at once, 070%20174. */
const spelled = (digits: string): RegExp => new RegExp([...digits].join('(?:%[0-9A-F]{2}|[^0-9]){0,4}'));
/** The letters in any case, as UTF-8 or UTF-16. */
const written = (word: string): RegExp => new RegExp([...word].join('\\x00?'), 'i');

/** As base64 wherever it begins in a longer text: what is the same whatever stands before and after. */
const inBase64 = (text: string): string[] =>
  [0, 1, 2].map((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]).toString('base64');
    return encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + text.length) * 8) / 6));
  });

const integers = (digits: string): Buffer[] => {
  const [little, big] = [Buffer.alloc(8), Buffer.alloc(8)];
  little.writeBigInt64LE(BigInt(digits));
  big.writeBigInt64BE(BigInt(digits));
  return [little, big];
};

const NEEDLES: readonly (readonly [string, readonly (string | Buffer)[]])[] = [
  ...Object.values(CORES).map((digits) => ['base64', inBase64(digits)] as const),
  ['base64', [...inBase64(canary.word), ...inBase64('Quokka')]],
  ...[...Object.values(CORES), canary.word].map(
    (text) =>
      ['hex', [Buffer.from(text).toString('hex'), Buffer.from(text).toString('hex').toUpperCase()]] as const,
  ),
  ['integer', ['46701740693', '701740693', '189001019802'].flatMap(integers)],
];

/** Where the canary shows in these bytes, in words; empty when it does not. */
export const hitsIn = (bytes: Buffer | string): string[] => {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes);
  const text = buffer.toString('latin1');
  return [
    ...Object.entries(CORES).flatMap(([name, digits]) => (spelled(digits).test(text) ? [name] : [])),
    ...(written(canary.word).test(text) ? ['word'] : []),
    ...NEEDLES.flatMap(([how, needles]) => (needles.some((needle) => buffer.includes(needle)) ? [how] : [])),
  ];
};

/** The same over every file below a folder, its name included. */
export const hitsBelow = async (folder: string): Promise<{ files: number; hits: string[] }> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const hits: string[] = [];
  let files = 0;
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    hits.push(...hitsIn(path.slice(folder.length)).map((hit) => `name of ${path}: ${hit}`));
    if (!entry.isFile()) continue;
    files += 1;
    hits.push(...hitsIn(await readFile(path)).map((hit) => `${path}: ${hit}`));
  }
  return { files, hits };
};
