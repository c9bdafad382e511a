import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { fullDiskFault, isFull } from '../../src/storage/full-disk.ts';

const coded = (code: string, message = 'of the system'): Error => Object.assign(new Error(message), { code });

describe('an error for want of room is known', () => {
  test.each<[string, unknown]>([
    ['a full file system', coded('ENOSPC')],
    ['a used-up quota', coded('EDQUOT')],
    ['PostgreSQL’s own code', coded('53100')],
    [
      'the same inside of what the mapper throws',
      Object.assign(new Error('x'), { meta: { driverAdapterError: { cause: { originalCode: '53100' } } } }),
    ],
    [
      'what a server said that did not start',
      new AppError('database_unavailable', 'did not start', {
        cause: new Error(
          'LOG: x\nFATAL:  could not write lock file "postmaster.pid": No space left on device',
        ),
      }),
    ],
    [
      'a lock that cannot be taken',
      new AppError('config_invalid', 'no lock', { cause: Object.assign(new Error('x'), { errcode: 13 }) }),
    ],
    [
      'a folder that cannot be made',
      new AppError('config_invalid', 'cannot be made', { cause: coded('ENOSPC') }),
    ],
  ])('%s', async (_what, error) => {
    expect(isFull(error)).toBe(true);
    const told = (await fullDiskFault(error, [tmpdir()])) as AppError;
    expect(told).toMatchObject({ code: 'storage_full', cause: error });
    expect(told.message).toMatch(/make room there/);
    expect(told.message).toContain(tmpdir());
  });

  test.each<[string, unknown]>([
    ['a port in use', coded('EADDRINUSE')],
    ['no permission', new AppError('config_invalid', 'x', { cause: coded('EACCES') })],
    ['nothing', null],
    ['text', 'ENOSPC'],
  ])('%s is another one, and passes unchanged', async (_what, error) => {
    expect(await fullDiskFault(error, [tmpdir()])).toBe(error);
  });

  test('a cause that leads back to itself ends', () => {
    const error = new Error('round');
    error.cause = error;
    expect(isFull(error)).toBe(false);
  });
});
