/**
 * Generates the database client (src/storage/prisma) from prisma/schema.prisma; quick and silent when it is up to date.
 * Prisma's command line downloads a schema engine before it does anything. Generating needs none, so it is given an
 * executable that exists: nothing is fetched, and `npm ci` works without any network but the registry.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const stampFile = join(root, 'src/storage/prisma/.generated-from');
const manifest = createRequire(import.meta.url).resolve('prisma/package.json');
const read = (path: string): string => readFileSync(path, 'utf8');

const stamp = createHash('sha256')
  .update(read(join(root, 'prisma/schema.prisma')))
  .update((JSON.parse(read(manifest)) as { version: string }).version)
  .digest('hex');

const isCurrent = (): boolean => {
  try {
    return read(stampFile) === stamp;
  } catch {
    return false;
  }
};

const generate = (): void => {
  const command = join(dirname(manifest), 'build/index.js');
  const result = spawnSync(process.execPath, [command, 'generate', '--no-hints'], {
    cwd: root,
    env: {
      PATH: dirname(process.execPath),
      HOME: tmpdir(),
      CHECKPOINT_DISABLE: '1',
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    },
    encoding: 'utf8',
  });
  if (result.status !== 0) {
    process.stderr.write(`The database client could not be generated.\n${result.stdout}${result.stderr}`);
    process.exit(1);
  }
  writeFileSync(stampFile, stamp);
};

if (!isCurrent()) generate();
