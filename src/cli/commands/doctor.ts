import { readConfig, readEnvironment } from '../../config.ts';
import { isAppError } from '../../core/errors.ts';
import type { Resources } from '../../resources.ts';
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

type Checkpoints = Resources['checkpoints'];
type Status = Awaited<ReturnType<Checkpoints['status']>>;

/** Null when the database cannot be asked, which a finding says. */
const statusOf = async (checkpoints: Checkpoints): Promise<Status | null> => {
  try {
    return await checkpoints.status();
  } catch (error) {
    if (!isAppError(error)) throw error;
    return null;
  }
};

const linesOf = ({ size, kept, places, witnesses }: Status): readonly string[] => [
  `checkpoint\tdatabase\t${kept} of ${size} entries`,
  ...places.map(
    (place) =>
      `checkpoint\t${place.where}\t${place.size} of ${size} entries${place.weakness === null ? '' : `\t${place.weakness}`}`,
  ),
  ...witnesses.map((witness) => `witness\t${witness.name}\t${witness.size} of ${size} entries`),
];

/** What works and what does not, part by part; exit code 1 when something does not. */
export const doctor = async ({
  ready = false,
  json = false,
}: {
  ready?: boolean;
  json?: boolean;
}): Promise<number> => {
  if (ready) return askRunning();
  return withResources(async ({ services, checkpoints }) => {
    const { ready: fine, findings } = await services.readiness.current();
    const notes = checkpoints.secondPlace
      ? []
      : [
          'No second place keeps checkpoints of the access log: a database superuser could cut its tail unnoticed.',
        ];
    const kept = await statusOf(checkpoints);
    if (json) printData(JSON.stringify({ ready: fine, findings, notes, checkpoints: kept }));
    else {
      for (const { name, fault } of findings)
        printData(`${fault === null ? 'ok' : 'FAULT'}\t${name}\t${fault ?? ''}`.trimEnd());
      printData(`log key\t${checkpoints.logKey}`);
      if (kept !== null) for (const line of linesOf(kept)) printData(line);
      for (const note of notes) printData(`note\t${note}`);
    }
    return fine && findings.every(({ fault }) => fault === null) ? exitCodes.clean : exitCodes.findings;
  });
};
