import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pieceEnd } from '../src/core/playback-pieces.ts';
import { inTurns, type Load } from './in-turns.ts';
import { head, type LoadResult, runLoad } from './load.ts';
import { pinLoad, row, startBare, startVault, wav } from './scene.ts';

/** `npm run bench:playback`: 64 KiB ranges at 32, whole calls in 512 KiB pieces at 8, against a bare file server. */
const BYTES = 3_650_000;
const FILES = 8;
const PIECE = 512 * 1024;
const SECONDS = Number(process.env.BENCH_SECONDS ?? 5);

pinLoad();
const vault = await startVault();
const bare = await startBare();

const paths: string[] = [];
for (let file = 0; file < FILES; file += 1) {
  const audio = wav(BYTES, file + 1);
  paths.push(await vault.openPlayback(await vault.upload(audio)));
  await writeFile(join(bare.folder, `call-${file}`), audio);
}

const get = (path: string, token: string, range?: string): Buffer[] => [
  head([
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${token}`,
    ...(range === undefined ? [] : [`Range: ${range}`]),
  ]),
];
const vaultGet = (file: number, range?: string) =>
  get(paths[file % FILES] as string, vault.nurseToken, range);
const bareGet = (file: number, range?: string) => get(`/call-${file % FILES}`, bare.token, range);

const randomRange = (): string => {
  const start = Math.floor(Math.random() * (BYTES - 65_536));
  return `bytes=${start}-${start + 65_535}`;
};
/** Where the answers begin that a player gets who reads on: each where the one before ended. */
const starts = [0];
for (let end = pieceEnd(0, BYTES); end < BYTES; end = pieceEnd(end, BYTES)) starts.push(end);
/** What a player asks: from where the last answer ended to the end. */
const piece = (turn: number): string => `bytes=${starts[turn % starts.length]}-`;

const load =
  (
    { port, pid }: { port: number; pid: number },
    connections: number,
    next: (connection: number, turn: number) => readonly Buffer[],
  ): Load =>
  () =>
    runLoad({ port, server: pid, connections, seconds: SECONDS, next, expect: [200, 206] });

row(['', 'req/s', 'MB/s', 'p50 ms', 'p99 ms', 'CPU ms']);
const show = (name: string, { perSecond, megabytesPerSecond, p50, p99, cpuMs }: LoadResult): void =>
  row([name, perSecond, megabytesPerSecond, p50, p99, cpuMs]);

const [bareRanges, vaultRanges] = await inTurns(
  load(bare, 32, (c, t) => bareGet(c + t, randomRange())),
  load(vault, 32, (c, t) => vaultGet(c + t, randomRange())),
);
show('bare server, 64 KiB ranges, 32', bareRanges);
show('vault, 64 KiB ranges, 32', vaultRanges);
const [bareFull, vaultPieces] = await inTurns(
  load(bare, 8, (c, t) => bareGet(c + t)),
  load(vault, 8, (c, t) => vaultGet(c, piece(t))),
);
show('bare server, whole 3.65 MB, 8', bareFull);
show(`vault, consecutive ${PIECE / 1024} KiB pieces, 8`, vaultPieces);

row(['']);
row(['ratio 64 KiB ranges (promised 0.5)', vaultRanges.perSecond / bareRanges.perSecond]);
row(['  the same by processor time', bareRanges.cpuMs / vaultRanges.cpuMs]);
row(['ratio whole calls (promised 0.55)', vaultPieces.megabytesPerSecond / bareFull.megabytesPerSecond]);

row([
  '  the same by processor time',
  bareFull.cpuMs /
    BYTES /
    (vaultPieces.cpuMs / ((vaultPieces.megabytesPerSecond * 1e6) / vaultPieces.perSecond)),
]);

await vault.close();
await bare.close();
