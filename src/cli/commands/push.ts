import { once } from 'node:events';
import { type AgentOptions, readAgentOptions } from '../../agent/agent-options.ts';
import {
  type CallFields,
  judgeFields,
  MAX_FIELDS_BYTES,
  readFieldsJson,
  readFieldsOf,
} from '../../agent/call-fields.ts';
import { createMetadataOf } from '../../agent/call-metadata.ts';
import { type HandedOver, type HandOver, handOver } from '../../agent/hand-over.ts';
import { openVault } from '../../agent/open-vault.ts';
import { pause, pauseAfter } from '../../agent/pause.ts';
import { AppError } from '../../core/errors.ts';
import { processEnvironment } from '../../environment.ts';
import { type GivenField, sidesOf } from '../agent-arguments.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { asTold } from '../usage.ts';

export type PushOptions = AgentOptions & {
  readonly callId?: string;
  readonly field: readonly GivenField[];
  readonly sideField: readonly GivenField[];
  readonly metadataStdin?: boolean;
  readonly readName?: boolean;
  readonly timeZone: string;
  readonly mediaType?: string;
  readonly remove?: boolean;
  /** In milliseconds. */
  readonly tryFor: number;
  readonly json?: boolean;
};

const PAUSES = { firstMs: 500, ceilingMs: 30_000 };

const readStdin = async (): Promise<CallFields> => {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > MAX_FIELDS_BYTES) break;
  }
  return judgeFields(readFieldsJson(Buffer.concat(pieces)));
};

/** Whether another try can bring something: a key that is wrong now is wrong in a minute. */
const mayChange = (result: HandedOver): boolean =>
  result.outcome === 'changed' || (result.outcome === 'later' && !result.stopped);

/** A try that is under way is given this long to be answered, however little is left of the time: otherwise it was in vain. */
const LEAST_SILENCE_MS = 5_000;
const MOST_SILENCE_MS = 60_000;

/** What is left of the time for one file. */
const createDeadline = (tryFor: number) => {
  let end = 0;
  return {
    begin: (): void => {
      end = performance.now() + tryFor;
    },
    isOver: (after: number): boolean => performance.now() + after > end,
    silenceMs: (): number => Math.min(MOST_SILENCE_MS, Math.max(LEAST_SILENCE_MS, end - performance.now())),
  };
};
type Deadline = ReturnType<typeof createDeadline>;

const tryOn = async (
  how: HandOver,
  path: Buffer,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<HandedOver> => {
  deadline.begin();
  for (let failures = 1; ; failures += 1) {
    const result = await handOver(how, path, signal);
    const wait = pauseAfter(failures, result.outcome === 'later' ? result.retryAfter : null, PAUSES);
    if (!mayChange(result) || deadline.isOver(wait)) return result;
    await pause(wait, signal);
    signal.throwIfAborted();
  }
};

const codeOf = (result: HandedOver): number => {
  if (result.outcome === 'refused') return exitCodes.findings;
  if (result.outcome !== 'stored') return exitCodes.couldNotRun;
  return ['none', 'removed'].includes(result.removal) ? exitCodes.clean : exitCodes.findings;
};

const sentences: Readonly<Record<'changed' | 'gone' | 'no_file', string>> = {
  changed: 'it is still being written',
  gone: 'there is no such file',
  no_file: 'it is no file; links are not followed',
};

/** Files are told by their place on the command line, for names may hold numbers. */
const sentenceOf = (result: HandedOver, place: number): string | null => {
  if (result.outcome === 'stored')
    return codeOf(result) === exitCodes.clean ? null : `file ${place} is stored, but could not be removed`;
  if (result.outcome === 'refused') return `file ${place} is refused: ${result.reason} (${result.code})`;
  if (result.outcome === 'later') return `file ${place} is not stored: ${result.reason} (${result.code})`;
  const why =
    result.outcome === 'unreadable' ? `it cannot be read (${result.code})` : sentences[result.outcome];
  return `file ${place} is not stored: ${why}`;
};

/** Could not be carried out is worse than a finding. */
const worst = (codes: readonly number[]): number => Math.max(exitCodes.clean, ...codes);

const lineOf = (result: HandedOver): string =>
  result.outcome === 'stored'
    ? `stored\t${result.id}\tsha256:${result.sha256}`
    : `${result.outcome}\t-\t${'sha256' in result ? `sha256:${result.sha256}` : '-'}`;

/** All that the command was told, before anything is sent. */
const read = async (
  files: readonly string[],
  options: PushOptions,
  environment: ReturnType<typeof processEnvironment>,
) => {
  if (files.some((file) => file === '' || file.includes('\0')))
    throw new AppError('config_invalid', 'A file has a name.');
  const settings = await readAgentOptions(options, environment);
  const said = readFieldsOf(environment);
  const told = options.metadataStdin === true ? await readStdin() : {};
  return { settings, said, told };
};

/** Hands files over and says what became of each. Needs no vault of its own, no database and no configuration. */
export const push = async (files: readonly string[], options: PushOptions): Promise<number> => {
  const environment = processEnvironment();
  const { settings, said, told } = await asTold(() => read(files, options, environment));
  const deadline = createDeadline(options.tryFor);
  const client = openVault({ ...settings, silenceMs: deadline.silenceMs });
  const how: HandOver = {
    client,
    metadataOf: createMetadataOf({
      timeZone: options.readName === true ? options.timeZone : null,
      root: null,
      said: { ...said, ...told, ...Object.fromEntries(options.field) },
      callId: options.callId,
    }),
    sides: sidesOf(options),
    ...(options.mediaType === undefined ? {} : { mediaType: options.mediaType }),
    remove: options.remove === true,
  };
  const cut = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'])
    void once(process, name, { signal: cut.signal }).then(
      () => cut.abort(),
      () => undefined,
    );
  const results: HandedOver[] = [];
  try {
    for (const file of files) results.push(await tryOn(how, Buffer.from(file), deadline, cut.signal));
  } catch (error) {
    if (!cut.signal.aborted) throw error;
    say('callvault: ended by a signal; what is not said to be stored stays where it is.');
  } finally {
    cut.abort();
    client.close();
  }
  results.forEach((result, index) => {
    const sentence = sentenceOf(result, index + 1);
    if (sentence !== null) say(`callvault: ${sentence}`);
    if (options.json !== true) printData(lineOf(result));
  });
  if (options.json === true) printData(JSON.stringify({ files: results }));
  return worst([
    ...results.map(codeOf),
    results.length < files.length ? exitCodes.couldNotRun : exitCodes.clean,
  ]);
};
