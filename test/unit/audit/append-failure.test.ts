import pg from 'pg';
import { expect, test } from 'vitest';
import { appendFailureOf } from '../../../src/audit/append-failure.ts';

const databaseError = (code: string, constraint?: string): Error =>
  Object.assign(new pg.DatabaseError('refused', 0, 'error'), { code, constraint });

test.each([
  ['22P05', undefined, 'entry'],
  ['22012', undefined, 'entry'],
  ['23502', undefined, 'entry'],
  ['23514', undefined, 'entry'],
  ['23505', 'leaf_event_id_key', 'exists'],
  ['23505', 'leaf_pkey', 'contradiction'],
  ['23505', 'entry_000000_pkey', 'contradiction'],
  ['23505', undefined, 'contradiction'],
  ['CV001', undefined, 'contradiction'],
  ['42501', undefined, 'unavailable'],
  ['42883', undefined, 'unavailable'],
  ['53100', undefined, 'unavailable'],
  ['53200', undefined, 'unavailable'],
  ['55P03', undefined, 'unavailable'],
  ['57014', undefined, 'unavailable'],
  ['25006', undefined, 'unavailable'],
  ['XX000', undefined, 'unavailable'],
  ['57P01', undefined, 'lost'],
  ['57P02', undefined, 'lost'],
  ['57P03', undefined, 'lost'],
])('SQLSTATE %s (%s): %s', (code, constraint, failure) => {
  expect(appendFailureOf(databaseError(code, constraint))).toBe(failure);
});

test.each([
  new Error('Connection terminated unexpectedly'),
  Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }),
  Object.assign(new Error('looks like one'), { code: '23505' }),
  undefined,
])('whatever the database did not say leaves the outcome open: %s', (error) => {
  expect(appendFailureOf(error)).toBe('lost');
});
