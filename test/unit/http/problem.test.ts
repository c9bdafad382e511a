import { describe, expect, test } from 'vitest';
import { AppError, errorCodes } from '../../../src/core/errors.ts';
import { problemOf } from '../../../src/http/problem.ts';
import { problemTable } from '../../../src/http/problem-table.ts';

const detailOf = (code: (typeof errorCodes)[number]): string =>
  problemOf(new AppError(code, 'SELECT 0701740605 FROM inside'), 'id').detail;
const failures = errorCodes.filter((code) => problemTable[code].status >= 500);

/** What is said of a failure must be true of it: whoever reads it decides by it whether to keep a recording. */
describe('what a stranger is told of a failure', () => {
  test.each(failures)('%s: a sentence of its own kind, and nothing of the inside', (code) => {
    expect(detailOf(code)).toMatch(/^[A-Z][^\n]{10,300}\.$/);
    expect(detailOf(code)).not.toMatch(/SELECT|0701740605/);
  });

  test('that the integrity of what is stored is in doubt, of integrity_failure alone', () => {
    expect(failures.filter((code) => detailOf(code).includes('integrity'))).toEqual(['integrity_failure']);
    expect(detailOf('integrity_failure')).toContain('The operator has been told');
  });

  test('fetch_failed speaks of the provider, and of nothing that is stored here', () => {
    expect(detailOf('fetch_failed')).toContain('provider');
    expect(detailOf('fetch_failed')).not.toMatch(/stored here|operator/);
  });

  test('that there is no room, of storage_full alone; that the same is under way, of in_progress alone', () => {
    expect(failures.filter((code) => /room/.test(detailOf(code)))).toEqual(['storage_full']);
    expect(failures.filter((code) => /another request/.test(detailOf(code)))).toEqual(['in_progress']);
  });

  test('never that nothing was done: the entry of a change may be in the log when its effect fails', () => {
    expect(failures.filter((code) => /(done|did) nothing|nothing was done/i.test(detailOf(code)))).toEqual(
      [],
    );
  });

  test('the entry of the log that is at fault is named, of an integrity failure', () => {
    const { detail } = problemOf(new AppError('integrity_failure', 'inside', { entry: 17 }), 'id');
    expect(detail).toContain('Entry 17 of the access log');
  });
});

test('what a client of tus would send again after 409 has another status there; offsets keep theirs', () => {
  const onUploads = errorCodes.flatMap((code) => {
    const { status, onUploads: other } = problemTable[code];
    return other === undefined ? [] : [[code, status, other]];
  });
  expect(onUploads).toEqual([['conflict', 409, 422]]);
  const problem = problemOf(new AppError('conflict', 'Other content.'), 'id', 422);
  expect(problem).toMatchObject({ code: 'conflict', status: 422, title: 'Unprocessable Entity' });
  expect(problemOf(new AppError('offset_mismatch', 'Elsewhere.'), 'id').status).toBe(409);
});
