import { createInterface } from 'node:readline';
import type { PostgresSettings } from '../src/core/postgres-settings.ts';
import { chain, log, prepareRound } from './append-schemes.ts';

/** A second service that appends to the same log or chain: says when it is ready, goes when it is told, tells what it measured. */
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const nextLine = async (): Promise<string> => {
  const { value, done } = await lines.next();
  if (done) process.exit(1);
  return value;
};
const { postgres, scheme, lanes, roundMs } = JSON.parse(await nextLine()) as {
  postgres: PostgresSettings;
  scheme: 'chain' | 'log';
  lanes: number;
  roundMs: number;
};
const go = await prepareRound(scheme === 'chain' ? chain : log, postgres, lanes);
process.stdout.write('ready\n');
await nextLine();
process.stdout.write(`${JSON.stringify(await go(roundMs))}\n`);
process.stdin.destroy();
