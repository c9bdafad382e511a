/**
 * `npm run build`: makes `dist/`, the release as plain JavaScript, from `src/` and the generated database client, and in it
 * the agent for telephony hosts as one file. A folder given as argument is made instead of it. What was there before goes
 * only when the new one is whole, so a failed build leaves neither half a release nor a stale one that looks new.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '..');
const target = resolve(process.argv[2] ?? join(root, 'dist'));
const draft = `${target}.${process.pid}`;

if (existsSync(target) && !existsSync(join(target, 'cli/main.js'))) {
  process.stderr.write(`build: ${target} is no earlier build; it is left alone\n`);
  process.exit(2);
}

/** Runs one step with its output shown; a failure ends the build with its exit code. */
const step = (program: string, args: readonly string[]): void => {
  const { status, error } = spawnSync(process.execPath, [join(root, program), ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status === 0) return;
  process.stderr.write(`build: ${program} failed${error === undefined ? '' : `: ${error.message}`}\n`);
  process.exit(status ?? 1);
};

process.once('exit', () => rmSync(draft, { recursive: true, force: true }));
step('scripts/prisma-generate.ts', []);
step('node_modules/typescript/bin/tsc', ['-p', 'tsconfig.build.json', '--outDir', draft]);
step('scripts/bundle-agent.ts', [join(draft, 'callvault-agent.js')]);
rmSync(target, { recursive: true, force: true });
renameSync(draft, target);
