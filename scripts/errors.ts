import { readFile, writeFile } from 'node:fs/promises';
import { STATUS_CODES } from 'node:http';
import { join } from 'node:path';
import { problemTable } from '../src/http/problem-table.ts';

/** Writes docs/errors.md from the table of problems; with --check, fails when the committed one is stale. */
const path = join(import.meta.dirname, '../docs/errors.md');

const row = ([code, { status, onUploads, remedy }]: [string, (typeof problemTable)['internal']]): string =>
  `| \`${code}\` | ${status}${onUploads === undefined ? '' : `; on \`/v1/uploads\` ${onUploads}`} | ${STATUS_CODES[status] ?? 'Error'} | ${remedy} |`;

const text = `# Errors

Made by \`npm run errors\` from \`src/http/problem-table.ts\`; \`npm run check\` fails when it is stale.

Every error is an RFC 9457 problem (\`application/problem+json\`) with \`type\` \`urn:callvault:problem:CODE\`, \`title\`, \`status\`,
\`detail\`, \`code\`, \`requestId\`, and \`faults\` where fields are at fault. \`code\` is stable; sentences may change. From 500 on
\`detail\` says which kind of failure it was and never why: that is in the log of the service, under \`requestId\`. A few codes end
commands or the start and are never answered over HTTP.

\`POST /v1/auth/token\` answers 400 and 401 as RFC 6749 §5.2 has it: \`application/json\` with \`error\` and \`error_description\`, and
the members of the problem beside them. Its other errors are problems as everywhere. Of the faults of a request twenty at most
are named.

| code | status | title | what to do |
|---|---|---|---|
${Object.entries(problemTable).map(row).join('\n')}
`;

if (process.argv.includes('--check')) {
  const committed = await readFile(path, 'utf8').catch(() => '');
  if (committed !== text) {
    process.stderr.write('docs/errors.md is stale: run npm run errors and commit it.\n');
    process.exitCode = 1;
  }
} else await writeFile(path, text);
