import { setTimeout as sleep } from 'node:timers/promises';
import { busyHour } from '../test/support/busy-hour.ts';
import { startCareLine } from '../test/support/care-line.ts';
import { peakMiBWhile, residentMiB } from '../test/support/resident-memory.ts';
import { putCall } from '../test/support/slow-clients.ts';
import { row } from './scene.ts';

/** `npm run bench:memory`: memory of the vault's own process that is resident. */
const SECONDS = Number(process.env.BENCH_SECONDS ?? 30);
const LARGE = 2 * 1024 ** 3;

const started = await startCareLine();
const { folder, vault, line } = started;

row(['', 'MiB']);
row(['at rest', await residentMiB(vault.pid)]);
const { peakMiB, readBytes, takenBytes } = await busyHour(started, SECONDS);
row(['32 slow readers and 8 uploads (promised 300)', peakMiB]);
row(['  meanwhile read and taken, MB', readBytes / 1e6, takenBytes / 1e6]);

await sleep(2_000);
for (const declared of [true, false]) {
  const before = await residentMiB(vault.pid);
  const peak = await peakMiBWhile(vault.pid, () =>
    putCall({ url: vault.url, token: line.apiKey }, LARGE, declared).then((status) => {
      if (status !== 201) throw new Error(`answered ${status}`);
    }),
  );
  row([`2 GiB upload, length ${declared ? '' : 'not '}declared: peak, growth`, peak, peak - before]);
}
await folder.remove();
