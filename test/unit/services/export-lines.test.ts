import { describe, expect, test } from 'vitest';
import type { RawRow } from '../../../src/audit/log-evidence.ts';
import type { Audience } from '../../../src/audit/reader.ts';
import { commitmentOf } from '../../../src/core/audit/commitment.ts';
import { encodeEvent } from '../../../src/core/audit/entry.ts';
import { factsOf } from '../../../src/core/audit/facts.ts';
import type { AuditEvent } from '../../../src/core/events.ts';
import { runLine } from '../../../src/services/export-lines.ts';
import { fixedEvent, fixedId } from '../../support/audit-events.ts';

/** What the line of an export says of one row, for whom; the rows are as somebody with the database's superuser left them. */
const home: Audience = { scope: 'organisation', organisation: fixedId(2) };
const foreign: Audience = { scope: 'organisation', organisation: fixedId(99) };
const installation: Audience = { scope: 'installation' };

const salt = Buffer.alloc(32, 5);
const rowOf = (event: AuditEvent, differing: Partial<RawRow> = {}): RawRow => {
  const encoded = encodeEvent(event);
  return {
    seq: 7,
    commitment: commitmentOf(salt, encoded.body),
    salt,
    body: encoded.body,
    eventId: event.id,
    facts: factsOf(encoded.event),
    ...differing,
  };
};
const viewed = fixedEvent('recording.viewed');
const seenBy = (row: RawRow) =>
  [home, foreign, installation].map((audience) => {
    const { content } = runLine(audience, row);
    return typeof content === 'string' ? content : 'shown';
  });

describe('who sees the body', () => {
  test.each<[string, AuditEvent, string[]]>([
    ['of her organisation', viewed, ['shown', 'withheld', 'withheld']],
    ['of none', fixedEvent('session.opened', { organisation: null }), ['withheld', 'withheld', 'shown']],
    [
      'of the installation, though it names her organisation',
      fixedEvent('organisation.changed'),
      ['withheld', 'withheld', 'shown'],
    ],
    ['about the log itself: what was removed', fixedEvent('log.pruned'), ['shown', 'shown', 'shown']],
    ['about the log itself: what was lost', fixedEvent('log.epoch_opened'), ['shown', 'shown', 'shown']],
  ])('%s', (_what, event, expected) => {
    expect(seenBy(rowOf(event))).toEqual(expected);
  });
});

describe('H-5 a row that was altered', () => {
  const given = encodeEvent({ ...viewed, organisation: fixedId(99) });

  test('a body given to another organisation is missing to everybody but that one', () => {
    const row = rowOf(viewed, { body: given.body, facts: factsOf(given.event) });
    expect(seenBy(row)).toEqual(['missing', 'shown', 'missing']);
  });

  test('columns alone altered: the body says whose it is, and the line names the columns', () => {
    const row = rowOf(viewed, { facts: { ...factsOf(viewed), organisation: fixedId(99), actor: 'x' } });
    expect(seenBy(row)).toEqual(['shown', 'withheld', 'withheld']);
    expect(runLine(home, row).columns).toEqual(['actor', 'organisation']);
    expect(runLine(home, rowOf(viewed, { eventId: fixedId(9) })).columns).toEqual(['leafEventId']);
    expect(runLine(home, rowOf(viewed)).columns).toEqual([]);
  });

  test('a body that says nothing any more: what it is found by says whose it was', () => {
    expect(seenBy(rowOf(viewed, { body: '{}' }))).toEqual(['shown', 'missing', 'missing']);
    expect(seenBy(rowOf(viewed, { body: '{}', facts: null }))).toEqual(['missing', 'missing', 'missing']);
  });

  test('a body or salt that is not there is missing to everybody', () => {
    for (const gone of [{ body: null }, { salt: null }, { body: null, salt: null, facts: null }])
      expect(seenBy(rowOf(viewed, gone))).toEqual(['missing', 'missing', 'missing']);
  });

  test('a salt of another length', () => {
    expect(seenBy(rowOf(viewed, { salt: Buffer.alloc(31) }))).toEqual(['shown', 'missing', 'missing']);
  });
});
