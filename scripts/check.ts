import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Everything that can be said about the source without running it. One command before pushing. */
const bin = (name: string): string => join(import.meta.dirname, '../node_modules/.bin', name);
const node = process.execPath;

const steps: readonly (readonly [string, string, readonly string[]])[] = [
  ['format and lint', bin('biome'), ['check', '--error-on-warnings', '.']],
  ['types', bin('tsc'), ['-p', '.']],
  ['import law', bin('vitest'), ['run', '--project', 'unit', 'test/unit/architecture.test.ts']],
  ['openapi.json is current', node, [join(import.meta.dirname, 'openapi.ts'), '--check']],
  ['docs/errors.md is current', node, [join(import.meta.dirname, 'errors.ts'), '--check']],
  ['prisma schema', node, [join(import.meta.dirname, 'prisma-generate.ts')]],
];

let failed = 0;
for (const [title, command, args] of steps) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  const ok = status === 0;
  if (!ok) failed += 1;
  process.stdout.write(`${ok ? 'ok  ' : 'FAIL'}  ${title}\n`);
  if (!ok) process.stdout.write(`${stdout}${stderr}\n`);
}
process.stdout.write(`check: ${steps.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
