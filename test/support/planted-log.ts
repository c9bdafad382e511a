import { createHash } from 'node:crypto';
import type pg from 'pg';
import { rangeBytes, rootOf } from '../../src/core/audit/merkle.ts';

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

const setBits = (size: number): number => size.toString(2).replaceAll('0', '').length;

/**
 * Plants a head of `size` entries that were never written, so that a test reaches the edge of a partition without a
 * million appends. Whatever is appended afterwards is real. Needs a superuser: nobody else can insert.
 */
export const plantHead = async (superuser: pg.Client, size: number): Promise<void> => {
  const range = { size, hashes: Array.from({ length: setBits(size) }, (_, i) => sha256(`${size}/${i}`)) };
  await superuser.query(
    `INSERT INTO audit.batch (first_seq, size, root, range, writer) VALUES ($1, $2, $3, $4, 'planted')`,
    [size - 1, size, rootOf(range), rangeBytes(range)],
  );
};
