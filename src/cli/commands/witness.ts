import { once } from 'node:events';
import { InvalidArgumentError } from 'commander';
import { keyTypes, type NoteKey, parseNoteKey } from '../../core/audit/note.ts';
import { AppError } from '../../core/errors.ts';
import { isLoopbackHost } from '../../core/network-address.ts';
import { openWitness } from '../../resources/witness.ts';
import { exitCodes } from '../exit-codes.ts';
import { printData, say } from '../print.ts';

/** `--log`, which may be given several times. */
export const collectLog = (text: string, known: readonly NoteKey[]): readonly NoteKey[] => {
  const key = parseNoteKey(text);
  if (key?.type !== keyTypes.ed25519)
    throw new InvalidArgumentError('A log is named by its key, as "callvault log-key" prints it.');
  return [...known, key];
};

/** `--listen HOST:PORT`; an IPv6 address in brackets. */
export const parseListen = (text: string): { readonly host: string; readonly port: number } => {
  const [, host = '', port = ''] = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === '' || Number(port) > 65_535)
    throw new InvalidArgumentError('Say where to listen as HOST:PORT, such as 127.0.0.1:8181.');
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
};

type Options = {
  readonly state: string;
  readonly key: string;
  readonly name?: string;
  readonly log: readonly NoteKey[];
  readonly listen: { readonly host: string; readonly port: number };
};

/** Runs until a signal. Needs no vault, no database and no configuration. */
export const witness = async ({ state, key, name, log, listen }: Options): Promise<number> => {
  if (log.length === 0)
    throw new AppError('invalid_request', 'Name at least one log to witness: --log, with its key.');
  const running = await openWitness({
    stateFile: state,
    keyFile: key,
    ...(name === undefined ? {} : { name }),
    logs: log,
    ...listen,
    onError: (error) => say(`A request failed: ${error instanceof Error ? error.name : 'unknown'}.`),
  });
  const signals = new AbortController();
  // Before anybody is told that it runs: a signal that comes at once ends it in order as well.
  const ended = Promise.race(
    ['SIGINT', 'SIGTERM'].map((name) => once(process, name, { signal: signals.signal })),
  );
  if (!isLoopbackHost(listen.host))
    say(
      `${listen.host} is reached from beyond this machine, in plain HTTP, and logs show checkpoints only over https: put a proxy that ends TLS before it, and listen on 127.0.0.1 where the proxy is on this machine.`,
    );
  printData(running.key);
  say(`Witnessing ${log.map((one) => one.name).join(', ')} on http://${listen.host}:${running.port}`);
  await ended;
  signals.abort();
  await running.close();
  return exitCodes.clean;
};
