import type { Stray } from '../../src/core/audit/log-rows.ts';
import { type Anchor, createVerifier, type Verdict } from '../../src/core/audit/verify.ts';
import { createMemoryLog, type MemoryLog, pagesOf } from './memory-log.ts';

/** Two nodes of level 8, many batches, the last page partial. */
export const SIZE = 530;

/** The verifier's verdict on a log in memory, page by page. */
export const verdictOf = (
  log: MemoryLog,
  {
    size = SIZE,
    pageSize = 64,
    anchors = [],
    strays = [],
  }: {
    size?: number;
    pageSize?: number;
    anchors?: readonly Anchor[];
    strays?: readonly Stray[];
  } = {},
): Verdict => {
  const verifier = createVerifier(anchors);
  for (const page of pagesOf(log, size, pageSize)) verifier.page(page);
  return verifier.finish(strays);
};

/** A sound log, and what was done to it. */
export const changed = (change: (log: MemoryLog) => void): MemoryLog => {
  const log = createMemoryLog(SIZE);
  change(log);
  return log;
};

/** Where a verdict finds something first, and what. */
export const first = (verdict: Verdict) => ({
  ok: verdict.ok,
  index: verdict.faults[0]?.index,
  kind: verdict.faults[0]?.kind,
});
