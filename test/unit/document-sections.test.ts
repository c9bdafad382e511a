import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';

/** Pages refer to each other, and the code to the pages, by the numbers and names of sections: they must be there. */
const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const filesIn = (folder: string, ending: RegExp): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))
    .filter((path) => !path.startsWith('src/storage/prisma/'));

const pages = ['README.md', ...filesIn('docs', /\.md$/)];
const code = [
  ...['src', 'test', 'scripts', 'bench'].flatMap((folder) => filesIn(folder, /\.ts$/)),
  ...filesIn('prisma', /\.(sql|prisma)$/),
].filter((path) => path !== 'test/unit/document-sections.test.ts');

const headingsOf = (page: string): string[] =>
  [
    ...read(page)
      .replaceAll(/^```.*?^```/gms, '')
      .matchAll(/^#+ (.+)$/gm),
  ].map(([, heading]) => heading!);
const numbersOf = (page: string): string[] =>
  headingsOf(page).flatMap((heading) => /^(\d+(?:\.\d+)?)\.? /.exec(heading)?.[1] ?? []);
/** As the links to headings are spelled. */
const anchorsOf = (page: string): string[] =>
  headingsOf(page).map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

const numbered = new Map(
  filesIn('docs', /\.md$/)
    .filter((page) => numbersOf(page).length > 0)
    .map((page) => [basename(page, '.md'), numbersOf(page)]),
);

/** A page of ours, or somebody else's text; what stands nearest before a number is what it is of. */
const OWNERS =
  /(?:\b(file-format|audit-log|operations|threat-model)\b)|\b(?:RFC|NIST|ISO\/IEC|ITU-T|ETSI|C2SP|kap\.)/g;
const ownerBefore = (text: string): string | null | undefined => {
  const last = [...text.matchAll(OWNERS)].at(-1);
  return last === undefined ? undefined : (last[1] ?? null);
};

type Reference = { readonly number: string; readonly page: string | null };
/** `own`: the page of a number that names none. */
const referencesIn = (text: string, own: string | null, reach: number): Reference[] =>
  [...text.matchAll(/§(\d+(?:\.\d+)*)/g)].map(({ 1: number, index }) => {
    const before = text.slice(Math.max(0, index - reach), index);
    const owner = ownerBefore(own === null ? before : before.split(/\.\s|[|;]/).at(-1)!);
    return { number: number!, page: owner === undefined ? own : owner };
  });

const missing = (references: readonly Reference[]): string[] =>
  references.flatMap(({ number, page }) =>
    page === null || numbered.get(page)?.includes(number) ? [] : [`${page} §${number}`],
  );

test('there are pages with numbered sections, and references to them', () => {
  expect([...numbered.keys()].sort()).toEqual(expect.arrayContaining(['audit-log', 'file-format']));
  const all = code
    .flatMap((path) => referencesIn(read(path), null, Infinity))
    .filter(({ page }) => page !== null);
  expect(all.length).toBeGreaterThan(30);
});

describe('every number of a section is one that the page has', () => {
  test.each(pages.filter((page) => read(page).includes('§')))('%s', (page) => {
    expect(missing(referencesIn(read(page), basename(page, '.md'), 45))).toEqual([]);
  });

  test('in the code', () => {
    const wrong = code.flatMap((path) =>
      missing(referencesIn(read(path), null, Infinity)).map((what) => `${path}: ${what}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('every link within the documentation leads to a heading', () => {
  test.each(pages)('%s', (page) => {
    const links = [...read(page).matchAll(/\]\(([^)\s:]*)#([^)\s]+)\)/g)];
    const wrong = links.filter(([, path = '', anchor]) => {
      const target = path === '' ? page : join(page, '..', path);
      return !anchorsOf(target).includes(anchor!);
    });
    expect(wrong.map(([link]) => link)).toEqual([]);
  });
});

test('audit-log.md names sections of its own by their names', () => {
  const text = read('docs/audit-log.md').replaceAll('\n', ' ');
  const named = [
    ...text.matchAll(/(?:\((?:above|below), |under |see |of |behind, |\()\*([A-Z][^*]+)\*/g),
  ].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !headingsOf('docs/audit-log.md').includes(name))).toEqual([]);
});
