import { InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import { addressOf } from '../../src/cli/verify-live.ts';
import { collectKey, collectWitness, quorumOf, trustOf } from '../../src/cli/verify-options.ts';
import { formatNoteKey, keyTypes } from '../../src/core/audit/note.ts';
import { newKey } from '../support/export-file.ts';

const log = newKey('callvault.test').key;
const witness = newKey('witness.test', keyTypes.cosignature).key;

describe('keys', () => {
  test('of the log and of witnesses, one after the other', () => {
    expect(collectKey(formatNoteKey(log), [])).toEqual([log]);
    expect(collectWitness(formatNoteKey(witness), [witness])).toEqual([witness, witness]);
  });

  test.each([
    '',
    'callvault.test',
    formatNoteKey(log).slice(0, -1),
    `${formatNoteKey(log)}\n`,
    formatNoteKey(witness),
  ])('what is no key of a log is refused: %s', (text) => {
    expect(() => collectKey(text, [])).toThrow(InvalidArgumentError);
  });

  test('without a quorum every named witness is asked for', () => {
    const options = { head: [], key: [log], witness: [witness] };
    expect(trustOf(options).quorum).toBe(1);
    expect(quorumOf('2')).toBe(2);
    for (const text of ['0', '00', '-1', '1.5', '', 'two', '1e3'])
      expect(() => quorumOf(text)).toThrow(InvalidArgumentError);
  });
});

describe('a token travels over TLS, or stays on this machine', () => {
  test.each(['https://vault.example.org', 'http://127.0.0.1:8080', 'http://localhost:1', 'http://[::1]:1'])(
    '%s',
    (text) => {
      expect(addressOf(text).origin).toBe(text);
    },
  );

  test.each([
    'http://vault.example.org',
    'http://127.0.0.1.example.org',
    'http://10.0.0.1',
    'ftp://127.0.0.1',
    'file:///etc/passwd',
    'vault.example.org',
    'https://name:password@vault.example.org',
    '',
  ])('not %s', (text) => {
    expect(() => addressOf(text)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });
});
