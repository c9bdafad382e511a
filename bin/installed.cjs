/**
 * First of all in "npm start" and "npm run demo": whether the sources can run at all, in one sentence instead of a stack. For
 * whatever Node the machine has, so in the oldest way to write and to load it (--require), without an import. In the same
 * process, so that arguments, flags and signals are the vault's own. The installed command has its own (callvault.js).
 */
const { existsSync } = require('node:fs');
const { dirname, join } = require('node:path');

const OLDEST = 24;
const COULD_NOT_RUN = 3;
const root = dirname(__dirname);

const isInstalled = () => {
  // Made by "npm ci" as its last step.
  if (!existsSync(join(root, 'src', 'storage', 'prisma', 'client.ts'))) return false;
  try {
    // Wherever npm has put it.
    require.resolve('close-with-grace');
    return true;
  } catch {
    return false;
  }
};

const stop = (sentence) => {
  process.stderr.write(`callvault: ${sentence}\n`);
  process.exit(COULD_NOT_RUN);
};

if (Number.parseInt(process.versions.node, 10) < OLDEST)
  stop(
    `needs Node ${OLDEST} or newer; this is ${process.version}. Run "npm ci" in ${root}, which brings one for Linux, or start it with a newer Node.`,
  );
if (!isInstalled()) stop(`a part of it is missing: run "npm ci" in ${root}.`);
