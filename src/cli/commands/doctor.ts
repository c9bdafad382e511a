import { readConfig, readEnvironment } from '../../config.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData } from '../print.ts';
import { withResources } from '../with-resources.ts';

const askRunning = async (): Promise<number> => {
  const { port, tls, host } = readConfig(readEnvironment(process.cwd()));
  const address = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  const { request } = await (tls === null ? import('node:http') : import('node:https'));
  const status = await new Promise<number | null>((resolve) => {
    // Its own certificate may be for another name: nothing is sent and nothing but the status is read.
    const options = { host: address, port, path: '/readyz', timeout: 4_000, rejectUnauthorized: false };
    request(options, (response) => resolve(response.resume().statusCode ?? null))
      .on('error', () => resolve(null))
      .on('timeout', () => resolve(null))
      .end();
  });
  printData(status === 200 ? 'ready' : status === null ? 'not running' : 'not ready');
  return status === 200 ? exitCodes.clean : exitCodes.findings;
};

/** What works and what does not, part by part; exit code 1 when something does not. */
export const doctor = async ({
  ready = false,
  json = false,
}: {
  ready?: boolean;
  json?: boolean;
}): Promise<number> => {
  if (ready) return askRunning();
  return withResources(async ({ services }) => {
    const { ready: fine, findings } = await services.readiness.current();
    // An honest word about what this release does not do yet.
    const notes = [
      'No second place keeps checkpoints of the access log: a database superuser could cut its tail unnoticed.',
    ];
    if (json) printData(JSON.stringify({ ready: fine, findings, notes }));
    else {
      for (const { name, fault } of findings)
        printData(`${fault === null ? 'ok' : 'FAULT'}\t${name}\t${fault ?? ''}`.trimEnd());
      for (const note of notes) printData(`note\t${note}`);
    }
    return fine ? exitCodes.clean : exitCodes.findings;
  });
};
