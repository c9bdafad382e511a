import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { describe, expect, test } from 'vitest';

const SRC = join(import.meta.dirname, '../../src');

type Law = { readonly values: readonly string[]; readonly types: readonly string[] };

/** What a room may import: values (and types) of the first list, types only of the second. docs/house.md says it in words. */
const law: Record<string, Law> = {
  core: { values: ['core'], types: [] },
  audit: { values: ['audit', 'core'], types: [] },
  crypto: { values: ['crypto', 'core', 'audit/receipt.ts'], types: [] },
  keys: { values: ['keys', 'core', 'crypto'], types: [] },
  storage: { values: ['storage', 'core'], types: [] },
  services: { values: ['services', 'core', 'crypto', 'audit'], types: ['storage', 'keys'] },
  http: { values: ['http', 'core'], types: ['services'] },
  // Sealing alone, which opens nothing: docs/decisions/0016.
  agent: { values: ['agent', 'core', 'crypto/edge-sealing.ts'], types: [] },
  cli: {
    // From `resources` on: docs/decisions/0010.
    values: [
      'cli',
      'agent',
      'services',
      'core',
      'resources.ts',
      'resources',
      'config.ts',
      'environment.ts',
      'logger.ts',
      'version.ts',
      'main.ts',
    ],
    types: [],
  },
  'config.ts': { values: ['core', 'config-rules.ts', 'config-schema.ts', 'environment.ts'], types: [] },
  'environment.ts': { values: [], types: [] },
  'config-rules.ts': { values: ['core'], types: [] },
  'config-schema.ts': { values: ['core'], types: [] },
  'logger.ts': { values: ['core'], types: [] },
  'version.ts': { values: [], types: [] },
};
/** These compose everything. */
const composers = ['main.ts', 'app.ts', 'resources.ts', 'resources'];

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith(`storage${sep}prisma${sep}`))
  .map((name) => name.split(sep).join('/'));

const roomOf = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : file);

type Import = { readonly target: string; readonly typeOnly: boolean };

/** Static imports, re-exports and dynamic imports of files under src. */
const importsOf = (file: string): Import[] => {
  const text = readFileSync(join(SRC, file), 'utf8');
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean): void => {
    if (specifier.startsWith('.'))
      found.push({
        target: relative(SRC, resolve(SRC, dirname(file), specifier))
          .split(sep)
          .join('/'),
        typeOnly,
      });
  };
  for (const [, kind, names, specifier] of text.matchAll(
    /^(?:import|export)\s+(type\s+)?([^'";]*?)\s*from\s+'([^']+)'/gms,
  )) {
    const listed = /^\{(.*)\}$/s.exec((names ?? '').trim())?.[1];
    const allTypes = listed
      ?.split(',')
      .every((name) => name.trim() === '' || name.trim().startsWith('type '));
    add(specifier ?? '', kind !== undefined || allTypes === true);
  }
  for (const [, specifier] of text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)) add(specifier ?? '', false);
  for (const [, specifier] of text.matchAll(/^import\s+'([^']+)'/gm)) add(specifier ?? '', false);
  return found;
};

const matches = (target: string, allowed: string): boolean =>
  target === allowed || target.startsWith(`${allowed}/`);

const breach = (file: string): string[] => {
  const room = roomOf(file);
  if (composers.includes(room)) return [];
  const rule = law[room];
  if (rule === undefined) return [`${file}: no law for the room ${room}`];
  return importsOf(file)
    .filter(({ target, typeOnly }) => {
      if (rule.values.some((allowed) => matches(target, allowed))) return false;
      return !(typeOnly && rule.types.some((allowed) => matches(target, allowed)));
    })
    .map(({ target, typeOnly }) => `${file} imports ${typeOnly ? 'a type of ' : ''}${target}`);
};

describe('import law', () => {
  test('every room imports only what it may', () => {
    expect(files.flatMap(breach)).toEqual([]);
  });

  test('the check sees an import that breaks the law', () => {
    // The reader itself is tested on files known to import across rooms.
    expect(
      importsOf('services/ingest-recording.ts').some(({ target }) => target.startsWith('storage/')),
    ).toBe(true);
    expect(importsOf('crypto/key-ring.ts').some(({ target }) => target === 'audit/receipt.ts')).toBe(true);
  });

  test('receipts are minted in the audit room alone', () => {
    const minters = files.filter((file) => importsOf(file).some(({ target }) => target === 'audit/mint.ts'));
    expect(minters.every((file) => file.startsWith('audit/'))).toBe(true);
    expect(minters.length).toBeGreaterThan(1);
  });

  test('core has no clock, randomness, environment or I/O', () => {
    const forbidden =
      /\bDate\.now\(|new Date\(\)|Math\.random\(|randomBytes|randomUUID|process\.|from 'node:(?!crypto|util|buffer|net)/;
    const breaches = files.filter(
      (file) => file.startsWith('core/') && forbidden.test(readFileSync(join(SRC, file), 'utf8')),
    );
    expect(breaches).toEqual([]);
  });

  test('the environment is read in one place', () => {
    const readers = files.filter((file) => /process\.env\b/.test(readFileSync(join(SRC, file), 'utf8')));
    expect(readers).toEqual(['environment.ts']);
  });

  test('acceptance tests import nothing of src', () => {
    const folder = join(SRC, '../test/acceptance');
    const breaches = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && /from '[^']*\/src\//.test(readFileSync(join(folder, name), 'utf8')),
    );
    expect(breaches).toEqual([]);
  });
});
