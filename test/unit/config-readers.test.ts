import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';

const SRC = join(import.meta.dirname, '../../src');

/** The program without the configuration itself and what is generated. */
const program = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith(`storage${sep}prisma${sep}`))
  .filter((name) => !/^config(-[a-z]+)?\.ts$/.test(name))
  .map((name) => readFileSync(join(SRC, name), 'utf8'))
  .join('\n');

/** What is taken out of a configuration: `config.x`, `{ x }: Config`, `{ x } = readConfig(…)`. */
const taken = [
  /\bconfig\.(\w+)/g,
  /\{([^{}]*)\}: Config\b/g,
  /\{([^{}]*)\} = (?:readConfig\(|config\b)/g,
].flatMap((pattern) => [...program.matchAll(pattern)].flatMap(([, names]) => names?.match(/\w+/g) ?? []));

test.each(Object.keys(readConfig({})))('the setting %s is read by somebody', (name) => {
  expect(taken).toContain(name);
});
