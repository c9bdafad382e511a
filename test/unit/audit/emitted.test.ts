import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { everyAction } from '../../support/audit-events.ts';

/** Promised for ever by their names, and written by nobody yet: docs/audit-log.md says so of each. */
const notYet: readonly string[] = ['key.rotated'];

const services = join(import.meta.dirname, '../../../src/services');
const written = readdirSync(services)
  .map((name) => readFileSync(join(services, name), 'utf8'))
  .join('\n');
const document = readFileSync(join(import.meta.dirname, '../../../docs/audit-log.md'), 'utf8');
const rowOf = (action: string): string => new RegExp(`^\\| \`${action}\` .*$`, 'm').exec(document)?.[0] ?? '';

test.each(everyAction)('%s is written by a service, or is among those that are not yet', (action) => {
  const emitted = written.includes(`action: '${action}'`);
  expect(emitted).toBe(!notYet.includes(action));
  expect(rowOf(action).includes('not yet')).toBe(!emitted);
});
