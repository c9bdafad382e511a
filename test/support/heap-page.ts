import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';

/** Pages of PostgreSQL's files, edited past the server: it must be stopped, and have written all it had in memory. */
const PAGE = 8192;

/** Where rows lie: the page of a file below the data folder. */
export type HeapPage = { readonly file: string; readonly block: number };

/** The page that holds this row of an audit table, and the first and last `seq` of the rows within. */
export const pageOf = async (
  superuser: pg.Client,
  table: 'entry' | 'leaf',
  seq: number,
): Promise<HeapPage & { readonly first: number; readonly last: number }> => {
  const { rows } = await superuser.query(
    `WITH placed AS (SELECT seq, tableoid, (ctid::text::point)[0]::int AS block FROM audit.${table}
                      WHERE seq BETWEEN $1::bigint - 500 AND $1::bigint + 500),
          own AS (SELECT tableoid, block FROM placed WHERE seq = $1)
     SELECT pg_relation_filepath(own.tableoid) AS file, own.block, min(seq)::int AS first, max(seq)::int AS last
       FROM placed JOIN own USING (tableoid, block) GROUP BY 1, 2`,
    [seq],
  );
  return rows[0];
};

/** Changes the bytes of a page on disk. */
export const editPage = async (
  clusterDir: string,
  { file, block }: HeapPage,
  edit: (page: Buffer) => void,
): Promise<void> => {
  await using handle = await open(join(clusterDir, file), 'r+');
  const page = Buffer.alloc(PAGE);
  await handle.read(page, 0, PAGE, block * PAGE);
  edit(page);
  await handle.write(page, 0, PAGE, block * PAGE);
};

/** Where the basis of each of the 32 sums of the server's page checksum (FNV-1a, as storage/checksum_impl.h has it). */
const BASES = [
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c, 0xf8d4474f,
  0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb, 0xe58f764b, 0x187636bc,
  0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4, 0x783125bb, 0x6ca8eaa2, 0xe407eac6,
  0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
];
const PRIME = 16_777_619;
const CHECKSUM_AT = 8;

const mixed = (sum: number, value: number): number => {
  const both = sum ^ value;
  return (Math.imul(both, PRIME) ^ (both >>> 17)) >>> 0;
};

/** Makes the checksum of an edited page right again, as somebody does who knows what she is doing. */
export const checksummed = (page: Buffer, block: number): void => {
  page.writeUInt16LE(0, CHECKSUM_AT);
  const sums = [...BASES];
  for (let at = 0; at < PAGE; at += 4) {
    const lane = (at / 4) % sums.length;
    sums[lane] = mixed(sums[lane]!, page.readUInt32LE(at));
  }
  const whole = sums.map((sum) => mixed(mixed(sum, 0), 0)).reduce((all, sum) => all ^ sum, 0);
  page.writeUInt16LE((((whole ^ block) >>> 0) % 65_535) + 1, CHECKSUM_AT);
};
