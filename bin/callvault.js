#!/usr/bin/env -S node --max-semi-space-size=4 --heap-growing-percent=30
/**
 * Starts Callvault on a Node that can run it. Plain JavaScript for whatever Node the machine has: with an older one it runs
 * itself again on the Node that `npm ci` has installed beside it, found from where this file really lies, or stops with one
 * sentence. Post commands, units and cron call it by absolute path or through a link, with any working folder and PATH.
 */
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const OLDEST = 24;
/**
 * V8 lets its space for young objects grow to 128 MiB where a machine has much memory, and fills it before it collects: half of
 * what a busy vault would occupy. Also in the first line, in "npm start" and in the Dockerfile.
 */
const NODE_FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=30'];
const COULD_NOT_RUN = 3;

const self = realpathSync(fileURLToPath(import.meta.url));
const root = dirname(dirname(self));
/** Sources win wherever they are, so that no checkout runs yesterday's build; a release is what has none. */
const source = join(root, 'src', 'cli', 'main.ts');
const entry = existsSync(source) ? source : join(root, 'dist', 'cli', 'main.js');

const stop = (sentence) => {
  process.stderr.write(`callvault: ${sentence}\n`);
  process.exitCode = COULD_NOT_RUN;
};

/** The Node that comes with Callvault, wherever npm has put it; null when it is not there. */
const bundledNode = () => {
  try {
    const manifest = createRequire(self).resolve(`node-${process.platform}-${process.arch}/package.json`);
    const node = realpathSync(join(dirname(manifest), 'bin', 'node'));
    return node === realpathSync(process.execPath) ? null : node;
  } catch {
    return null;
  }
};

/** From a terminal these reach every process of the job by themselves; sent on as well, they would come twice. */
const BY_TERMINAL = ['SIGINT', 'SIGQUIT', 'SIGHUP'];
const ALWAYS = ['SIGTERM', 'SIGUSR2'];

const runOn = (node) => {
  // The fourth channel carries nothing: when this process dies, however it dies, the other end sees it close.
  const child = spawn(node, [...NODE_FLAGS, self, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const pass = (signal) => child.kill(signal);
  const ignore = () => {};
  for (const signal of ALWAYS) process.on(signal, pass);
  for (const signal of BY_TERMINAL) process.on(signal, process.stdin.isTTY ? ignore : pass);
  child.once('error', (error) =>
    stop(`the Node that comes with it could not be started (${error.code}): run "npm ci" in ${root}.`),
  );
  child.once('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code;
      if (child.connected) child.disconnect();
      return;
    }
    // Whoever waits for this process learns what happened to the other.
    for (const name of [...ALWAYS, ...BY_TERMINAL]) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
};

const runHere = async () => {
  if (process.channel) {
    process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
    process.channel.unref();
  }
  await import(pathToFileURL(entry).href).catch((error) => {
    // What is imported reports its own errors; these two say that it is not all there.
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    stop(
      existsSync(entry)
        ? `a part of it is missing: run "npm ci" in ${root}.`
        : `there is no program: run "npm ci && npm run build" in ${root}.`,
    );
  });
};

if (Number.parseInt(process.versions.node, 10) >= OLDEST) await runHere();
else {
  const node = bundledNode();
  if (node === null)
    stop(
      `needs Node ${OLDEST} or newer; this is ${process.version}, and none for ${process.platform}-${process.arch} was installed with it. Run "npm ci" in ${root}, or start it with a newer Node.`,
    );
  else runOn(node);
}
