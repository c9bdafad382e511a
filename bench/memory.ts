import { setTimeout as sleep } from 'node:timers/promises';
import { newCall, startCareLine } from '../test/support/care-line.ts';
import { peakMiBWhile, residentMiB } from '../test/support/resident-memory.ts';
import { putCall, readSlowly } from '../test/support/slow-clients.ts';
import { row } from './scene.ts';

/** `npm run bench:memory`: resident memory of the vault's own process; its database is another one, with memory of its own. */
const BYTES = 3_650_000;
const READERS = 32;
const UPLOADS = 8;
/** Sixteen times as fast as it is heard, and far slower than it could be sent. */
const PACE = 256_000;
const SECONDS = Number(process.env.BENCH_SECONDS ?? 30);
const LARGE = 2 * 1024 ** 3;

const { folder, vault, line } = await startCareLine();
const source = { url: vault.url, token: line.apiKey };
const nurse = { url: vault.url, token: await line.nurse.token() };
const recordings = await Promise.all(Array.from({ length: READERS }, () => line.store(newCall(BYTES))));

const until = (end: number, work: () => Promise<unknown>): Promise<void> =>
  (async () => {
    while (Date.now() < end) await work();
  })();

row(['', 'MiB']);
row(['at rest, after 32 uploads', await residentMiB(vault.pid)]);

let read = 0;
let sent = 0;
const busy = await peakMiBWhile(vault.pid, async () => {
  const end = Date.now() + SECONDS * 1000;
  const readers = recordings.map((recording) =>
    until(end, async () => {
      const bytes = await readSlowly(nurse, await line.openPlayback(recording), PACE);
      read += bytes;
    }),
  );
  const uploads = Array.from({ length: UPLOADS }, () =>
    until(end, async () => {
      if ((await putCall(source, BYTES)) === 201) sent += BYTES;
    }),
  );
  await Promise.all([...readers, ...uploads]);
});
row([`${READERS} slow readers and ${UPLOADS} uploads (promised 300)`, busy]);
row([`  meanwhile read and taken, MB`, read / 1e6, sent / 1e6]);

await sleep(2_000);
for (const declared of [true, false]) {
  const before = await residentMiB(vault.pid);
  const peak = await peakMiBWhile(vault.pid, () => putCall(source, LARGE, declared));
  row([`2 GiB upload, length ${declared ? '' : 'not '}declared: peak, growth`, peak, peak - before]);
}
await folder.remove();
