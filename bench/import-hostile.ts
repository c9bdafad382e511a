import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startCareLine } from '../test/support/care-line.ts';
import { importInto } from '../test/support/import-run.ts';
import { makeOldShare } from '../test/support/old-share.ts';

/**
 * `node bench/import-hostile.ts [files]`: an old share of 100,000 small files, one in a hundred and more of them hostile, imported;
 * the report must account for every one. Prints the agent's memory as it goes. By hand: it takes its time.
 */
const FILES = Number(process.argv[2] ?? 100_000);

const world = await startCareLine();
try {
  const share = await makeOldShare(join(world.folder.home, 'share'), FILES, 200);
  const run = await importInto(world, share.folder, 'journal', process.env.BENCH_PARALLEL ?? '16');
  const from = performance.now();
  const { code, peaks } = await run.watched();
  const { totals, lines } = await run.report();
  const seconds = (performance.now() - from) / 1000;
  const ids = new Set(lines.map(({ file }) => file)).size;
  const ok = ids === FILES && totals.files === FILES && totals.verified === share.expected.verified;
  process.stdout.write(
    `${JSON.stringify({ ok, code, seconds: Math.round(seconds), filesPerSecond: Math.round(FILES / seconds), totals, expected: share.expected, peakMiB: peaks.map(Math.round) })}\n`,
  );
  process.exitCode = ok ? 0 : 1;
  await rm(share.folder, { recursive: true });
} finally {
  await world.folder.remove();
}
