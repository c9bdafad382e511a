import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { type AgentOptions, readAgentOptions } from '../../agent/agent-options.ts';
import { createMetadataOf } from '../../agent/call-metadata.ts';
import { sendableName } from '../../agent/hand-over.ts';
import { createScan } from '../../agent/scan-folder.ts';
import { createWatchClient } from '../../agent/watch-client.ts';
import { createWatch } from '../../agent/watch-folder.ts';
import type { WatchTotals } from '../../agent/watch-options.ts';
import { openWatchState } from '../../agent/watch-state.ts';
import { AppError } from '../../core/errors.ts';
import { processEnvironment } from '../../environment.ts';
import { type GivenField, sidesOf } from '../agent-arguments.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';
import { asTold } from '../usage.ts';
import { createWatchTalk } from '../watch-talk.ts';

export type WatchCommandOptions = AgentOptions & {
  readonly field: readonly GivenField[];
  readonly sideField: readonly GivenField[];
  readonly timeZone: string;
  readonly recursive?: boolean;
  readonly all?: boolean;
  readonly keep?: boolean;
  readonly withSideFile?: boolean;
  readonly state?: string;
  /** In milliseconds. */
  readonly interval: number;
  readonly unseenRest: number;
  readonly longestPause: number;
  readonly concurrency: number;
  readonly once?: boolean;
  readonly listRefused?: boolean;
  readonly json?: boolean;
};

/** How long deliveries under way may take after SIGTERM: less than the 90 s after which systemd kills. */
const END_MS = 60_000;

const folderOf = async (folder: string): Promise<string> => {
  try {
    const root = await realpath(folder);
    if ((await stat(root)).isDirectory()) return root;
  } catch {
    // Said alike.
  }
  throw new AppError('invalid_request', 'The folder to watch is not there, or cannot be read.');
};

/** From `--state`, or where systemd says; null when nowhere. In the folder it would be one of its files. */
const stateFileOf = async (
  { state, keep, listRefused: list }: WatchCommandOptions,
  root: string,
): Promise<string | null> => {
  const [given] = (processEnvironment().STATE_DIRECTORY ?? '').split(':');
  const file = state ?? (given ? join(given, 'watch.state') : undefined);
  if (file === undefined) {
    if (list === true) throw new AppError('config_invalid', 'Refusals are remembered in --state FILE.');
    if (keep !== true) return null;
    throw new AppError('config_invalid', '--keep needs --state FILE, to remember what was handed over.');
  }
  const folder = dirname(resolve(file));
  const real = await realpath(folder).catch(() => folder);
  if (`${real}${sep}`.startsWith(root === sep ? sep : `${root}${sep}`))
    throw new AppError('config_invalid', 'The state file lies elsewhere than in the folder that is watched.');
  return join(real, basename(file));
};

type Place = { readonly root: string; readonly stateFile: string | null };

const listRefused = async ({ root, stateFile }: Place, options: WatchCommandOptions): Promise<number> => {
  if (process.stdout.isTTY !== true) {
    say('callvault: names may hold numbers, so they are shown on a terminal only.');
    return exitCodes.usage;
  }
  const state = await openWatchState(stateFile);
  let count = 0;
  const scan = createScan({
    root: Buffer.from(root),
    recursive: options.recursive === true,
    all: options.all === true,
  });
  for await (const { path, signature } of scan.found()) {
    const refusal = state.refusalOf(signature);
    if (refusal === null) continue;
    count += 1;
    printData(`${refusal.code}\t${JSON.stringify(sendableName(path.subarray(Buffer.byteLength(root) + 1)))}`);
  }
  return count === 0 ? exitCodes.clean : exitCodes.findings;
};

/** The first signal lets deliveries under way end, for a while; a second one cuts them off. */
const listen = (): { readonly stop: AbortSignal; readonly cut: AbortSignal; end(): void } => {
  const [stop, cut] = [new AbortController(), new AbortController()];
  let timer: NodeJS.Timeout | null = null;
  const onSignal = (): void => {
    if (stop.signal.aborted) cut.abort();
    stop.abort();
    timer ??= setTimeout(() => cut.abort(), END_MS).unref();
  };
  const names = ['SIGINT', 'SIGTERM'] as const;
  for (const name of names) process.on(name, onSignal);
  const end = (): void => {
    if (timer !== null) clearTimeout(timer);
    for (const name of names) process.off(name, onSignal);
  };
  return { stop: stop.signal, cut: cut.signal, end };
};

const codeOf = ({ refused, unremoved, waiting, unreadable, vaultAnswers }: WatchTotals): number => {
  if (!vaultAnswers || waiting > 0 || unreadable > 0) return exitCodes.couldNotRun;
  return refused + unremoved > 0 ? exitCodes.findings : exitCodes.clean;
};

/** Runs until a signal, or with `--once` until what is finished is handed over. Needs no vault of its own. */
export const watch = async (folder: string, options: WatchCommandOptions): Promise<number> => {
  // Not a matter of what was told: a share may be mounted later.
  const root = await folderOf(folder);
  const stateFile = await asTold(() => stateFileOf(options, root));
  if (options.listRefused === true) return listRefused({ root, stateFile }, options);
  const read = () => readAgentOptions(options, processEnvironment());
  const settings = await asTold(read);
  const state = await openWatchState(stateFile);
  const client = createWatchClient(settings, { read });
  const talk = createWatchTalk(options.json === true);
  const watching = createWatch({
    client,
    root: Buffer.from(root),
    recursive: options.recursive === true,
    all: options.all === true,
    keep: options.keep === true,
    withSide: options.withSideFile === true,
    intervalMs: options.interval,
    unseenRestMs: options.unseenRest,
    concurrency: options.concurrency,
    pauses: { firstMs: Math.min(1_000, options.longestPause), ceilingMs: options.longestPause },
    metadataOf: createMetadataOf({
      timeZone: options.timeZone,
      root: Buffer.from(root),
      said: Object.fromEntries(options.field),
    }),
    sides: sidesOf(options),
    state,
    onEvent: talk.onEvent,
  });
  const signals = listen();
  talk.begin(watching.totals);
  try {
    await watching.run(signals.stop, signals.cut, options.once);
  } finally {
    signals.end();
    client.close();
    talk.end(watching.totals());
  }
  return options.once === true && !signals.stop.aborted ? codeOf(watching.totals()) : exitCodes.clean;
};
