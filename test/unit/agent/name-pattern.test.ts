import { describe, expect, test } from 'vitest';
import { createNamePattern } from '../../../src/agent/import/name-pattern.ts';

describe('a pattern of the operator', () => {
  test('one that a name can make take for ever is stopped, and ends the import when that goes on', () => {
    const match = createNamePattern('^(?<caller>(a+)+)$');
    expect(match('aaa')).toMatchObject({ caller: 'aaa' });
    const evil = `${'a'.repeat(60)}!`;
    expect(() => Array.from({ length: 21 }, () => match(evil))).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    );
  });
  test.each(['(', '.*', '(?<password>.*)', `(?<caller>${'a'.repeat(2_000)})`])('%s is refused', (source) => {
    expect(() => createNamePattern(source)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });
});
