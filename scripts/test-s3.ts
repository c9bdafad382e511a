/**
 * `npm run test:s3`: starts a real S3 server (scripts/s3-server.sh), runs the tests named `*.s3.test.ts` against it, stops
 * it in every case, and ends with Vitest's exit code. Further arguments go to Vitest. With S3_ENDPOINT set, that server is
 * used instead of one of our own; the tests make and remove buckets of their own there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const COULD_NOT_RUN = 3;
/** Below the range from which the system hands out ports itself. */
const PORTS = { from: 10_000, to: 30_000, inARow: 21 };

const projectRoot = fileURLToPath(new URL('..', import.meta.url));
const serverScript = join(projectRoot, 'scripts/s3-server.sh');
const vitest = join(projectRoot, 'node_modules/vitest/vitest.mjs');

const say = (line: string): void => {
  process.stderr.write(`test:s3: ${line}\n`);
};

const children = new Set<ChildProcess>();
// Passed on instead of ending this process: it has a server to stop first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    for (const child of children) child.kill(signal);
  });

/** Exit code of a child; one that was ended by a signal has none and could not run. */
const codeOf = async (child: ChildProcess): Promise<number> => {
  children.add(child);
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? COULD_NOT_RUN;
  } finally {
    children.delete(child);
  }
};

const isFree = async (port: number): Promise<boolean> => {
  const listener = createServer();
  const free = await new Promise<boolean>((resolve) => {
    listener.once('error', () => resolve(false));
    listener.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (free) await new Promise((resolve) => listener.close(resolve));
  return free;
};

/** First of enough free ports in a row. */
const freePorts = async (): Promise<number> => {
  for (;;) {
    const first = randomInt(PORTS.from, PORTS.to);
    const row = Array.from({ length: PORTS.inARow }, (_, i) => isFree(first + i));
    if ((await Promise.all(row)).every(Boolean)) return first;
  }
};

const startServer = async (env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> => {
  const child = spawn('bash', [serverScript, 'start'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [code, output] = await Promise.all([codeOf(child), child.stdout.toArray()]);
  if (code !== 0) throw new Error('the S3 server did not start');
  const lines = output.join('').trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s, 2)));
};

const stopServer = async (env: NodeJS.ProcessEnv): Promise<void> => {
  const code = await codeOf(spawn('bash', [serverScript, 'stop'], { env, stdio: 'inherit' }));
  if (code !== 0) throw new Error('the S3 server could not be stopped');
};

const runTests = (env: NodeJS.ProcessEnv): Promise<number> => {
  const args = [vitest, 'run', '--project', 's3', ...process.argv.slice(2)];
  return codeOf(spawn(process.execPath, args, { cwd: projectRoot, env, stdio: 'inherit' }));
};

const runWithOwnServer = async (): Promise<number> => {
  const folder = await mkdtemp(join(tmpdir(), 'callvault-s3-'));
  const env = {
    ...process.env,
    S3_SERVER_DIR: join(folder, 'server'),
    S3_SERVER_PORT: String(await freePorts()),
  };
  try {
    return await runTests({ ...env, ...(await startServer(env)) });
  } finally {
    await stopServer(env);
    await rm(folder, { recursive: true, force: true });
  }
};

const runWithServerAt = (endpoint: string): Promise<number> => {
  say(`using the server at ${endpoint}`);
  return runTests(process.env);
};

try {
  const { S3_ENDPOINT } = process.env;
  process.exitCode =
    S3_ENDPOINT === undefined ? await runWithOwnServer() : await runWithServerAt(S3_ENDPOINT);
} catch (error) {
  say(`could not run: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = COULD_NOT_RUN;
}
