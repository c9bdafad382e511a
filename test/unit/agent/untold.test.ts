import { expect, test } from 'vitest';
import type { JournalEntry } from '../../../src/agent/import/journal.ts';
import { createUntold } from '../../../src/agent/import/untold.ts';
import { createLegacyNames } from '../../../src/core/legacy-names.ts';

/** Which files tell of a call what the vault was not told, judged when all are known. */
const [CALL, OTHER, BARE] = ['0701740605_20150101_1015', '0701740606_20150101_1015', 'Copy (2) of it'];
const DAY = '0701740605_20150101';

const judge = async (...files: (Partial<JournalEntry> & { name: string })[]) => {
  const lines = new Map<string, JournalEntry>();
  const said: string[] = [];
  const untold = createUntold({
    parse: createLegacyNames({ timeZone: 'UTC' }),
    sides: { renames: new Map(), timeZone: 'UTC' },
    journal: {
      find: async (file) => lines.get(file) ?? null,
      append: async (entry) => void lines.set(entry.file, entry),
    },
    onException: ({ file }) => said.push(file),
  });
  for (const { name, outcome = 'verified', ...more } of files) {
    const entry: JournalEntry = { file: name, outcome, recording: 'r', created: false, ...more };
    lines.set(name, entry);
    const path = Buffer.from(`${name}.wav`);
    const found = { kind: 'file', path, relative: path, release: async () => undefined } as const;
    await untold.note(found, { ...entry, outcome: 'verified' });
  }
  const count = await untold.settle();
  expect(said).toHaveLength(count);
  const ends = [...lines.values()].map(({ outcome, kept }) => kept ?? outcome);
  return ends;
};
const [ok, no] = ['verified', 'name_not_told'];

test.each<[string, Parameters<typeof judge>, string[]]>([
  ['another call', [{ name: CALL, created: true }, { name: OTHER }], [ok, no]],
  ['before what created it was met', [{ name: OTHER }, { name: CALL, created: true }], [no, ok]],
  ['more than the first tells', [{ name: BARE, created: true }, { name: CALL }], [ok, no]],
  ['the time of a day', [{ name: DAY, created: true }, { name: CALL }], [ok, no]],
  ['less than the first tells', [{ name: CALL, created: true }, { name: BARE }, { name: DAY }], [ok, ok, ok]],
  [
    'another recording',
    [
      { name: CALL, created: true },
      { name: OTHER, recording: 's', created: true },
    ],
    [ok, ok],
  ],
  ['nothing known of the first', [{ name: CALL }, { name: BARE }], [no, ok]],
  ['cut off', [{ name: CALL, resent: true }, { name: BARE }, { name: OTHER }], [ok, ok, no]],
  [
    'two cut off that differ',
    [
      { name: CALL, resent: true },
      { name: OTHER, resent: true },
    ],
    [no, no],
  ],
  [
    'cut off, and another is known to have come first',
    [
      { name: CALL, resent: true },
      { name: OTHER, created: true },
    ],
    [no, ok],
  ],
  ['an exception whose twin is gone', [{ name: CALL, outcome: 'name_not_told' }], [no]],
  [
    'an exception that is none any more',
    [
      { name: CALL, outcome: 'name_not_told', reason: 'x' },
      { name: CALL.replace('070', '+4670'), created: true },
    ],
    [ok, ok],
  ],
])('%s', async (_, files, ends) => {
  expect(await judge(...files)).toEqual(ends);
});
