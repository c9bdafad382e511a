/**
 * Part of `npm run build`: `callvault-agent.js`, which is `push` and `watch` with all they need in one file, for telephony
 * hosts. It runs on any Node from 20.16 on, from any folder and under any name: whether Node takes a file for a module
 * depends on its name and on what lies beside it, so this one is neither kind. It asks the process for Node's own parts.
 */
import { chmodSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, resolve } from 'node:path';
import { build } from 'rolldown';

const root = join(import.meta.dirname, '..');
const target = process.argv[2];
if (target === undefined) throw new Error('say which file to make');

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

const BANNER = `#!/usr/bin/env node
if (typeof process.getBuiltinModule !== 'function') {
  process.stderr.write('callvault-agent: needs Node 20.16 or newer; this is ' + process.version + '.\\n');
  process.exit(3);
}`;

const { output } = await build({
  input: join(root, 'src/cli/agent-main.ts'),
  platform: 'node',
  external: isBuiltin,
  transform: { target: 'node20' },
  plugins: [
    {
      name: 'version',
      // There is no package.json beside it to read.
      load: (id) =>
        resolve(id) === join(root, 'src/version.ts')
          ? `export const version = ${JSON.stringify(version)};`
          : null,
    },
  ],
  output: {
    file: target,
    format: 'iife',
    banner: BANNER,
    globals: (name) => `process.getBuiltinModule(${JSON.stringify(name)})`,
  },
});
if (output.length !== 1) throw new Error('it is more than one file');
chmodSync(target, 0o755);
