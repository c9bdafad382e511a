// Names the tests of one report that failed, each with the first lines of why: who reads only the end of a run's output finds them there.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const LINES_OF_A_REASON = 6;
const { testResults } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const say = (file, name, message) => {
  const reason = message.split('\n').slice(0, LINES_OF_A_REASON);
  process.stdout.write(
    `${[`== failed: ${relative('.', file)} > ${name}`, ...reason.map((line) => `   ${line}`)].join('\n')}\n`,
  );
};
for (const { name: file, status, message, assertionResults } of testResults) {
  const failed = assertionResults.filter((test) => test.status === 'failed');
  for (const test of failed) say(file, test.fullName, test.failureMessages.join('\n'));
  if (status === 'failed' && failed.length === 0) say(file, 'the file as a whole', message ?? '');
}
