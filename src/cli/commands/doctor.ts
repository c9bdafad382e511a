import { type Config, readConfig, readEnvironment } from '../../config.ts';
import { runningVault } from '../../resources.ts';
import type { Examination } from '../../services/examine-vault.ts';
import { askExamination, askReady } from '../ask-running.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData } from '../print.ts';
import { withResources } from '../with-resources.ts';

/** Where the vault of this data folder says that it answers; where there is none, what this shell's settings say. */
const addressOf = async ({ dataDir, host, port, tls }: Config): Promise<URL> => {
  const running = await runningVault(dataDir);
  const url = new URL(
    running?.url ?? `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
  );
  if (url.hostname === '0.0.0.0' || url.hostname === '[::]') url.hostname = '127.0.0.1';
  return url;
};

const sayReady = async (config: Config): Promise<number> => {
  const status = await askReady(await addressOf(config));
  printData(status === 200 ? 'ready' : status === null ? 'not running' : 'not ready');
  return status === 200 ? exitCodes.clean : exitCodes.findings;
};

const linesOf = ({ size, kept, places, witnesses }: NonNullable<Examination['checkpoints']>): string[] => [
  `checkpoint\tdatabase\t${kept} of ${size} entries`,
  ...places.map(
    (place) =>
      `checkpoint\t${place.where}\t${place.size} of ${size} entries${place.weakness === null ? '' : `\t${place.weakness}`}`,
  ),
  ...witnesses.map((witness) => `witness\t${witness.name}\t${witness.size} of ${size} entries`),
];

/** As the command tells it: times are written out. */
const toldOf = (last: Examination['verification']) =>
  last && { ...last, at: new Date(last.at).toISOString() };

const verificationLine = (last: Examination['verification']): string => {
  const told = toldOf(last);
  if (told === null) return 'verification\tnone is known';
  const { at, ok, size, by } = told;
  const whose = by === 'system' ? 'by the vault' : 'by an operator';
  return `verification\tended ${at}\t${ok ? 'ok' : 'NOT OK'}\t${size} entries\t${whose}`;
};

/** Of whom the judgement is: of a vault that runs, or of what lies here. */
type Subject = { readonly pid: number; readonly url: string | null } | null;

const tell = (found: Examination, running: Subject, json: boolean): number => {
  const { ready, findings, notes, checkpoints, verification, logKey } = found;
  if (json)
    printData(
      JSON.stringify({ ready, findings, notes, checkpoints, verification: toldOf(verification), running }),
    );
  else {
    printData(
      running === null
        ? 'vault\tnot running'
        : `vault\tprocess ${running.pid}\t${running.url ?? ''}`.trimEnd(),
    );
    for (const { name, fault } of findings)
      printData(`${fault === null ? 'ok' : 'FAULT'}\t${name}\t${fault ?? ''}`.trimEnd());
    if (logKey !== '') printData(`log key\t${logKey}`);
    if (checkpoints !== null) for (const line of linesOf(checkpoints)) printData(line);
    printData(verificationLine(verification));
    for (const note of notes) printData(`note\t${note}`);
  }
  return ready && findings.every(({ fault }) => fault === null) ? exitCodes.clean : exitCodes.findings;
};

/** A vault that holds its data folder and says nothing: what is wrong with it, it alone knows. */
const silent: Examination = {
  ready: false,
  findings: [{ name: 'vault', fault: 'no answer' }],
  notes: ['The vault runs and does not answer: see its log, or stop it and run this command again.'],
  checkpoints: null,
  verification: null,
  logKey: '',
};

/**
 * What works and what does not, part by part; exit code 1 when something does not. Of a running vault it is the vault that
 * judges, by the settings that it runs with; those of this shell say only where its data folder is.
 */
export const doctor = async ({
  ready = false,
  json = false,
}: {
  ready?: boolean;
  json?: boolean;
}): Promise<number> => {
  const config = readConfig(readEnvironment(process.cwd()));
  if (ready) return sayReady(config);
  const running = await runningVault(config.dataDir);
  if (running !== null && running.doctor !== null) {
    const { pid, url } = running;
    return tell((await askExamination(running.doctor)) ?? silent, { pid, url }, json);
  }
  return withResources(async ({ examine }) => tell(await examine(), null, json));
};
