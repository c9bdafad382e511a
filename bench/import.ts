import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { peakMiBWhile } from '../test/support/resident-memory.ts';
import { createBucket, s3Settings } from '../test/support/s3-bucket.ts';
import { processorMs } from './processor-time.ts';
import { mp3, row, startVault, warmPageCache, wav } from './scene.ts';

/**
 * `npm run bench:import [calls]`: an old share of WAV and MP3 of 1 to 4 MB, imported into a vault with every file read back, against
 * `rclone copy` into an encrypted remote on the same disk, `sync` and `rclone check --download` of it. Needs rclone.
 *
 * With the settings that `scripts/s3-server.sh start` prints in the environment, vault and remote lie in buckets of that server.
 */
const CALLS = Number(process.argv[2] ?? 200);
const PARALLEL = process.env.BENCH_PARALLEL ?? '4';
const MAIN = join(import.meta.dirname, '../src/cli/agent-main.ts');
const run = promisify(execFile);

const OLD = new Date('2016-05-04T03:02:01Z');

const makeShare = async (folder: string): Promise<number> => {
  let total = 0;
  await mkdir(folder);
  for (let n = 0; n < CALLS; n += 1) {
    const bytes = 1_000_000 + Math.floor((n * 3_000_000) / Math.max(1, CALLS - 1));
    const audio = n % 2 === 0 ? wav(bytes, n + 1) : mp3(bytes);
    const path = join(
      folder,
      `external-102-0701740605-20150101-101500-1420107300.${n}.${n % 2 === 0 ? 'wav' : 'mp3'}`,
    );
    await writeFile(path, audio);
    await utimes(path, OLD, OLD);
    total += audio.length;
  }
  await run('sync', ['-f', folder]);
  return total;
};

/** Processor time of children that have ended. Ticks of 10 ms. */
const childrenMs = (): number => {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
};

type Measured = {
  readonly seconds: number;
  readonly cpuMs: number;
  readonly serverMs: number;
  readonly peakMiB: number;
};

/** Runs a program to its end; the most memory that it had is asked for while it runs. */
const program = async (command: string, args: readonly string[]): Promise<number> => {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let peak = 0;
  const look = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It has just ended.
    }
  }, 50);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  clearInterval(look);
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}`);
  return peak;
};

const measure = async (act: () => Promise<number>, serverPid: number | null): Promise<Measured> => {
  const server = (): number => (serverPid === null ? 0 : processorMs(serverPid));
  const [ownFrom, serverFrom, from] = [childrenMs(), server(), performance.now()];
  const peakMiB = await act();
  return {
    seconds: (performance.now() - from) / 1000,
    cpuMs: childrenMs() - ownFrom + server() - serverFrom,
    serverMs: server() - serverFrom,
    peakMiB,
  };
};

type Place = {
  /** For the vault. */
  readonly env: Readonly<Record<string, string>>;
  /** What rclone's encrypted remote lies in, and the remote of that, if it is one. */
  readonly remote: string;
  readonly config: string;
  readonly close: () => Promise<void>;
};

const folderOf = (home: string): Place => ({
  env: {},
  remote: join(home, 'sealed'),
  config: '',
  close: async () => undefined,
});

/** Two buckets of one server: one for each side. */
const bucketsOf = async (): Promise<Place> => {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3Settings();
  const [theirs, ours] = [await createBucket({ versions: false }), await createBucket({ versions: false })];
  return {
    env: {
      S3_ENDPOINT: endpoint,
      S3_REGION: region,
      S3_BUCKET: ours.bucket,
      S3_ACCESS_KEY_ID: accessKeyId,
      S3_SECRET_ACCESS_KEY: secretAccessKey,
    },
    remote: `bucket:${theirs.bucket}`,
    config: `[bucket]\ntype = s3\nprovider = Ceph\nendpoint = ${endpoint}\nregion = ${region}\naccess_key_id = ${accessKeyId}\nsecret_access_key = ${secretAccessKey}\n`,
    close: async () => {
      for (const bucket of [theirs, ours]) await bucket.close();
    },
  };
};

const home = await mkdtemp(join(tmpdir(), 'cvi-'));
const share = join(home, 'share');
const place = process.env.S3_ENDPOINT === undefined ? folderOf(home) : await bucketsOf();
// Unlike in the other measurements nothing is bound to a core: the other side is not either.
const vault = await startVault([], place.env);
try {
  const bytes = await makeShare(share);
  const { stdout: password } = await run('rclone', ['obscure', 'a password of the bench']);
  const config = join(home, 'rclone.conf');
  const remote = `${place.config}[sealed]\ntype = crypt\nremote = ${place.remote}\npassword = ${password.trim()}\n`;
  await writeFile(config, remote, { mode: 0o600 });
  const rclone = (...args: string[]) =>
    program('rclone', ['--config', config, '--transfers', PARALLEL, ...args]);

  await warmPageCache(Math.min(2_000_000_000, 2 * bytes));
  const theirs = await measure(async () => {
    const copied = await rclone('copy', share, 'sealed:');
    await run('sync', ['-f', home]);
    return Math.max(copied, await rclone('check', '--download', share, 'sealed:'));
  }, null);

  const key = join(home, 'key');
  await writeFile(key, vault.apiKey, { mode: 0o600 });
  const args = ['import', share, '--url', `http://127.0.0.1:${vault.port}`, '--key-file', key];
  const importing = [...args, '--journal', join(home, 'journal'), '--min-age', '0', '--parallel', PARALLEL];
  await warmPageCache(Math.min(2_000_000_000, 2 * bytes));
  let vaultPeak = 0;
  const ours = await measure(async () => {
    let agentPeak = 0;
    vaultPeak = await peakMiBWhile(vault.pid, async () => {
      agentPeak = await program(process.execPath, [MAIN, ...importing]);
    });
    return agentPeak;
  }, vault.pid);

  row([
    `${CALLS} calls, ${(bytes / 1e6).toFixed(0)} MB, ${PARALLEL} at once`,
    'seconds',
    'MB/s',
    'CPU s/GB',
    'MiB',
  ]);
  for (const [name, { seconds, cpuMs, peakMiB }] of Object.entries({ rclone: theirs, import: ours }))
    row([name, seconds, bytes / 1e6 / seconds, cpuMs / 1000 / (bytes / 1e9), peakMiB]);
  row(['  of it the vault and its database', '', '', ours.serverMs / 1000 / (bytes / 1e9), vaultPeak]);
  row(['']);
  row(['ratio import to rclone (promised 1.5)', theirs.seconds / ours.seconds]);
  row(['  the same by processor time', theirs.cpuMs / ours.cpuMs]);
} finally {
  await vault.close();
  await place.close();
  await rm(home, { recursive: true, force: true });
}
