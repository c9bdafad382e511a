import { expect, test } from 'vitest';
import { isOneSlip } from '../../../src/core/near-miss.ts';

test.each([
  ['S3_BUCKET', 'S3_BUCKETS'],
  ['S3_BUCKET', 'S3_BUCKE'],
  ['S3_BUCKET', '3_BUCKET'],
  ['DATABASE_URL', 'DATABASE_URI'],
  ['DATABASE_URL', 'DATABSAE_URL'],
  ['DATABASE_URL', 'DATABASE_ULR'],
  ['DATABASE_URL', 'XATABASE_URL'],
])('%s and %s are one slip apart', (a, b) => {
  expect([isOneSlip(a, b), isOneSlip(b, a)]).toEqual([true, true]);
});

test.each([
  ['S3_BUCKET', 'S3_BUCKET'],
  ['TLS_CERT_FILE', 'SSL_CERT_FILE'],
  ['S3_BUCKET', 'S3_BUCKETSS'],
  ['DATABASE_URL', 'DATABASE_PORT'],
  ['ABCD', 'BADC'],
  ['', 'AB'],
])('%s and %s are not', (a, b) => {
  expect([isOneSlip(a, b), isOneSlip(b, a)]).toEqual([false, false]);
});
