import type pg from 'pg';
import { type CompactRange, emptyRange, rootOf, splitHashes } from '../core/audit/merkle.ts';
import {
  consistencyPath,
  foldPerfect,
  foldStretch,
  inclusionPath,
  type NodeRun,
  runsOf,
  type Stretch,
} from '../core/audit/proof.ts';
import { AppError } from '../core/errors.ts';
import type { Statement } from './search.ts';

/** Proofs over the log as it lies in the database. Sizes are the caller's to check against the head: 0 ≤ seq < size ≤ head. */
export type LogProver = {
  /** Root of the tree of the first `size` entries, 32 bytes. */
  readonly root: (size: number) => Promise<Buffer>;
  /** The compact range of that tree: from here on it can be extended without reading what is in it. */
  readonly range: (size: number) => Promise<CompactRange>;
  /** RFC 6962 §2.1.1. */
  readonly inclusion: (seq: number, size: number) => Promise<readonly Buffer[]>;
  /** The same for several entries, in their order, in one round trip; what their proofs share is read and hashed once. */
  readonly inclusions: (seqs: readonly number[], size: number) => Promise<readonly (readonly Buffer[])[]>;
  /** RFC 6962 §2.1.2. */
  readonly consistency: (from: number, to: number) => Promise<readonly Buffer[]>;
};

type Ask = <R extends pg.QueryResultRow>(statement: Statement) => Promise<readonly R[]>;

/**
 * All runs in one round trip, one row each. As scalar subqueries, every run is a walk along an index; as a join, the planner
 * would read the whole table of nodes.
 */
const RUNS = `
  SELECT CASE WHEN r.level = 0
           THEN (SELECT string_agg(sha256('\\x0001'::bytea || l.commitment), ''::bytea ORDER BY l.seq)
                   FROM audit.leaf l WHERE l.seq >= r.first AND l.seq < r.behind)
           ELSE (SELECT string_agg(n.hash, ''::bytea ORDER BY n.index)
                   FROM audit.node n WHERE n.level = r.level AND n.index >= r.first AND n.index < r.behind)
         END AS hashes
    FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS r (level, first, behind, place)
   ORDER BY r.place`;

const readRuns = async (ask: Ask, runs: readonly NodeRun[]): Promise<readonly (readonly Buffer[])[]> => {
  if (runs.length === 0) return [];
  const rows = await ask<{ hashes: Buffer | null }>({
    text: RUNS,
    values: [runs.map((run) => run.level), runs.map((run) => run.from), runs.map((run) => run.to)],
  });
  return runs.map((run, i) => {
    const hashes = splitHashes(rows[i]?.hashes ?? Buffer.alloc(0));
    if (hashes.length !== run.to - run.from)
      throw new AppError('integrity_failure', 'The access log misses a part of its tree.');
    return hashes;
  });
};

const nameOf = ({ start, end }: Stretch): string => `${start}-${end}`;

export const createLogProver = (ask: Ask): LogProver => {
  const hashesOf = async (stretches: readonly Stretch[]): Promise<readonly Buffer[]> => {
    const runs = stretches.map(runsOf);
    const read = [...(await readRuns(ask, runs.flat()))];
    return runs.map((own) => foldStretch(read.splice(0, own.length).map(foldPerfect)));
  };
  const inclusions: LogProver['inclusions'] = async (seqs, size) => {
    const paths = seqs.map((seq) => inclusionPath(seq, size));
    const stretches = new Map(paths.flat().map((stretch) => [nameOf(stretch), stretch]));
    const hashes = await hashesOf([...stretches.values()]);
    const known = new Map([...stretches.keys()].map((name, i) => [name, hashes[i]!]));
    return paths.map((path) => path.map((stretch) => known.get(nameOf(stretch))!));
  };
  return {
    root: async (size) => (size === 0 ? rootOf(emptyRange) : (await hashesOf([{ start: 0, end: size }]))[0]!),
    range: async (size) => ({
      size,
      hashes: (await readRuns(ask, runsOf({ start: 0, end: size }))).map(foldPerfect),
    }),
    inclusion: (seq, size) => hashesOf(inclusionPath(seq, size)),
    inclusions,
    consistency: (from, to) => hashesOf(consistencyPath(from, to)),
  };
};
