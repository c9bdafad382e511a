import { expect, test } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { diskFault } from '../../src/storage/disk-fault.ts';

test.each([
  ['ENOSPC', 'storage_full'],
  ['EDQUOT', 'storage_full'],
  ['EIO', 'storage_unavailable'],
  ['EROFS', 'storage_unavailable'],
  ['EACCES', 'storage_unavailable'],
  ['EMFILE', 'storage_unavailable'],
])('%s becomes %s and stays the cause', (code, expected) => {
  const error = Object.assign(new Error('from the system'), { code });
  expect(diskFault(error)).toMatchObject({ code: expected, cause: error });
});

test('what is no error of the system becomes storage_unavailable', () => {
  expect(diskFault('odd')).toMatchObject({ code: 'storage_unavailable', cause: 'odd' });
});

test('an AppError passes unchanged', () => {
  const error = new AppError('conflict', 'taken');
  expect(diskFault(error)).toBe(error);
});
