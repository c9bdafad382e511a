import { createHash } from 'node:crypto';
import type { LogEvidence } from '../audit/log-evidence.ts';
import type { Audience, AuditReader, LogSearch } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import type { UserActor } from '../core/access.ts';
import { parseCheckpoint } from '../core/audit/checkpoint.ts';
import { aboutTheLog } from '../core/audit/export-agreement.ts';
import {
  type ExportFilter,
  type ExportHeader,
  type ExportLine,
  encodeHashes,
  formatEnd,
  formatHeader,
  formatLine,
} from '../core/audit/export-format.ts';
import { parseNote } from '../core/audit/note.ts';
import { AppError } from '../core/errors.ts';
import { eventBase } from './event-base.ts';
import { runLines, selectedLines } from './export-lines.ts';
import { audienceOf, type LogQuery, type LogQuestion } from './log-question.ts';
import { type CheckpointNow, cosignedNote, signedNow } from './signed-now.ts';

export type ExportEvidenceDeps = {
  readonly evidence: LogEvidence;
  readonly checkpointNow: CheckpointNow;
  readonly log: Pick<AuditReader, 'count'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly logQuestion: LogQuestion;
  readonly now: () => number;
};

/** `range`: entries by place, [from, to). `time`, in milliseconds since 1970, [from, to). `matching`: what a search finds. */
export type EvidenceAsked =
  | { readonly by: 'range'; readonly from?: number; readonly to?: number }
  | { readonly by: 'time'; readonly from?: number; readonly to?: number }
  | { readonly by: 'matching'; readonly query: LogQuery };

/** Pieces are handed on when they are about this long. */
const PIECE_BYTES = 64 * 1024;

const refused = (where: string, fault: string): AppError =>
  new AppError('invalid_request', 'The export cannot be made as asked.', { faults: [{ where, fault }] });

/** What a header begins with: the tree it is about, and what is signed of it. */
type Tree = Pick<ExportHeader, 'origin' | 'size' | 'root' | 'checkpoint'> & {
  /** Entries that the checkpoint covers. */
  readonly signedSize: number;
};

const treeOf = async ({ evidence, checkpointNow }: ExportEvidenceDeps): Promise<Tree> => {
  await signedNow(checkpointNow);
  const { size, root } = await evidence.head();
  const checkpoint = await cosignedNote(evidence, size);
  const opened = checkpoint === null ? null : parseCheckpoint(parseNote(checkpoint)?.text ?? '');
  return {
    origin: opened?.origin ?? null,
    size,
    root: root.toString('base64'),
    checkpoint: opened === null ? null : checkpoint,
    signedSize: opened?.size ?? 0,
  };
};

const noFilter: ExportFilter = { recording: null, actor: null, subjects: null, since: null, until: null };

type Run = { readonly from: number; readonly to: number };
type Extent = { readonly count: number; readonly first: number | null; readonly last: number | null };
/** All of an export before it is told to the log. */
type Prepared = {
  readonly header: ExportHeader;
  readonly lines: AsyncIterable<ExportLine>;
  readonly criteria: readonly string[];
  readonly extent: Extent;
};

const assertRun = ({ from, to }: Run, size: number): void => {
  if (to > size) throw refused('to', `is beyond the log, which has ${size} entries now`);
  if (from > to) throw refused('from', `is beyond ${to}; the log has ${size} entries now`);
};

/** Everything of a run: what shows that it is one, and its lines. */
const prepareRun = async (
  { evidence }: ExportEvidenceDeps,
  actor: UserActor,
  tree: Tree,
  run: Run,
  filter: ExportFilter,
): Promise<Pick<Prepared, 'header' | 'lines'>> => {
  const { signedSize, ...start } = tree;
  const { from, to } = run;
  const within = signedSize > from && signedSize <= to;
  const consistency =
    tree.checkpoint === null || within ? [] : await evidence.consistency(signedSize, tree.size);
  const before = (await evidence.range(from)).hashes;
  const after = await evidence.consistency(to, tree.size);
  return {
    header: {
      kind: 'range',
      origin: start.origin,
      filter,
      entry: 0,
      size: start.size,
      root: start.root,
      checkpoint: start.checkpoint,
      consistency: encodeHashes(consistency),
      from,
      to,
      before: encodeHashes(before),
      after: encodeHashes(after),
    },
    lines: runLines(evidence, audienceOf(actor), run),
  };
};

const prepareMatching = async (
  deps: ExportEvidenceDeps,
  actor: UserActor,
  tree: Tree,
  asked: LogQuery,
): Promise<Prepared> => {
  const { evidence, log } = deps;
  const query: LogSearch & { size: number } = { ...(await deps.logQuestion(actor, asked)), size: tree.size };
  const subjects = query.subjects ?? (query.subject === undefined ? null : [query.subject]);
  const consistency = tree.checkpoint === null ? [] : await evidence.consistency(tree.signedSize, tree.size);
  return {
    header: {
      kind: 'selection',
      origin: tree.origin,
      filter: {
        recording: query.recording ?? null,
        actor: query.actor ?? null,
        subjects,
        since: query.from ?? null,
        until: query.to ?? null,
      },
      entry: 0,
      size: tree.size,
      root: tree.root,
      checkpoint: tree.checkpoint,
      consistency: encodeHashes(consistency),
    },
    lines: selectedLines(evidence, query),
    criteria: Object.keys(asked).sort(),
    extent: await log.count(query, tree.size + 1),
  };
};

/** Places counted in one statement, so that none takes long, however long the log. */
const STRIDE = 65_536;

/** How many bodies of a run these readers are shown: with it in the log nobody can take one out of the file unnoticed. */
const bodiesIn = async (
  { log }: ExportEvidenceDeps,
  audience: Audience,
  { from, to }: Run,
): Promise<number> => {
  const shared = { audience: { scope: 'installation' as const }, actions: [...aboutTheLog] };
  const asked = audience.scope === 'installation' ? [{ audience }] : [{ audience }, shared];
  let bodies = 0;
  for (let start = from; start < to; start += STRIDE)
    for (const query of asked)
      bodies += (await log.count({ ...query, start, size: Math.min(start + STRIDE, to) }, STRIDE)).count;
  return bodies;
};

const extentOf = async (deps: ExportEvidenceDeps, actor: UserActor, run: Run): Promise<Extent> => {
  const { from, to } = run;
  if (from === to) return { count: 0, first: null, last: null };
  return { count: await bodiesIn(deps, audienceOf(actor), run), first: from, last: to - 1 };
};

/** From the first to the last of her own entries in that time; none: an empty run. */
const runInTime = async (
  { log }: ExportEvidenceDeps,
  actor: UserActor,
  { from, to }: Extract<EvidenceAsked, { by: 'time' }>,
  size: number,
): Promise<Run> => {
  const query = {
    audience: audienceOf(actor),
    size,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
  const { first, last } = await log.count(query, size + 1);
  return first === null || last === null ? { from: 0, to: 0 } : { from: first, to: last + 1 };
};

const prepare = async (
  deps: ExportEvidenceDeps,
  actor: UserActor,
  asked: EvidenceAsked,
): Promise<Prepared> => {
  const tree = await treeOf(deps);
  if (asked.by === 'matching') return prepareMatching(deps, actor, tree, asked.query);
  const timed = asked.by === 'time';
  const run = timed
    ? await runInTime(deps, actor, asked, tree.size)
    : { from: asked.from ?? 0, to: asked.to ?? tree.size };
  assertRun(run, tree.size);
  const filter = timed ? { ...noFilter, since: asked.from ?? null, until: asked.to ?? null } : noFilter;
  return {
    ...(await prepareRun(deps, actor, tree, run, filter)),
    criteria: [timed ? 'time' : 'range'],
    extent: await extentOf(deps, actor, run),
  };
};

/** The bytes of the file, a page of entries in memory at a time; whoever stops taking them ends it. */
async function* written(header: ExportHeader, lines: AsyncIterable<ExportLine>): AsyncGenerator<Buffer> {
  const digest = createHash('sha256');
  let entries = 0;
  let waiting = `${formatHeader(header)}\n`;
  const take = (): Buffer => {
    const piece = Buffer.from(waiting);
    waiting = '';
    digest.update(piece);
    return piece;
  };
  for await (const line of lines) {
    entries += 1;
    waiting += `${formatLine(line)}\n`;
    if (waiting.length >= PIECE_BYTES) yield take();
  }
  yield take();
  yield Buffer.from(`${formatEnd({ end: digest.digest('hex'), entries })}\n`);
}

/**
 * The log as a file that a stranger can verify (docs/audit-log.md, Exports). Proofs are made first, so that a log that cannot
 * prove itself is a clear refusal; then the entry that this was taken is committed, and only then is anything given.
 */
export const createExportEvidence =
  (deps: ExportEvidenceDeps) =>
  async (actor: UserActor, asked: EvidenceAsked, request: string): Promise<AsyncIterable<Buffer>> => {
    const { header, lines, criteria, extent } = await prepare(deps, actor, asked);
    const { seq } = await deps.audit.append({
      ...eventBase(actor, request, deps.now()),
      action: 'log.exported',
      outcome: 'success',
      detail: { format: 'evidence', criteria, ...extent },
    });
    return written({ ...header, entry: seq }, lines);
  };

export type ExportEvidence = ReturnType<typeof createExportEvidence>;
