import type { Waiting } from '../agent/import/deliver-file.ts';
import type { Inventory } from '../agent/import/inventory.ts';
import type { OtherCall } from '../agent/import/name-tally.ts';
import type { Report } from '../agent/import/report.ts';
import type { Exception, Progress } from '../agent/import/run-import.ts';
import type { Wiped } from '../agent/import/wipe.ts';
import { type Entry, printInventory, printReport, printWiped, size } from './import-tables.ts';
import { printData } from './print.ts';

const TERMINAL_MS = 500;
const PIPE_MS = 5_000;

const clock = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return '?';
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return h > 0 ? `${h} h ${m} min` : m > 0 ? `${m} min ${s} s` : `${s} s`;
};

/** Rate of this run and the time that remains at it; what an earlier run had settled counts for neither. */
const createPace = () => {
  const from = performance.now();
  let [skippedFiles, skippedBytes] = [0, 0];
  return (progress: Progress) => {
    const { files, bytes, before, total } = progress;
    if (before > skippedFiles) [skippedFiles, skippedBytes] = [before, progress.beforeBytes];
    const seconds = Math.max(0.001, (performance.now() - from) / 1000);
    const rate = (bytes - skippedBytes) / seconds;
    const filesRate = (files - skippedFiles) / seconds;
    const left = total === null ? null : Math.max(0, total.bytes - bytes);
    // Small files are a matter of their number, large ones of their bytes: the slower of the two.
    const remaining =
      left === null || total === null
        ? null
        : Math.max(left / rate || 0, Math.max(0, total.files - files) / filesRate || 0);
    return { seconds, bytesPerSecond: rate, filesPerSecond: filesRate, remainingSeconds: remaining };
  };
};

const progressLine = (
  { files, bytes, exceptions, total }: Progress,
  { bytesPerSecond, remainingSeconds }: ReturnType<ReturnType<typeof createPace>>,
): string => {
  const of = total === null ? '' : ` of ${total.files}`;
  const left = remainingSeconds === null ? 'counting' : `${clock(remainingSeconds)} left`;
  return `${files}${of} files, ${size(bytes)}, ${size(bytesPerSecond)}/s, ${exceptions} left where they are, ${left}`;
};

const rounded = (values: Readonly<Record<string, number | null>>) =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value === null ? null : Math.round(value * 10) / 10,
    ]),
  );

/** True once in such a time. */
const createTicker = (ms: number): (() => boolean) => {
  let lastAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = performance.now();
    if (now - lastAt < ms) return false;
    lastAt = now;
    return true;
  };
};

/** Why nothing is taken, in words. A status without a code of the vault is somebody else's. */
export const whyOf = ({ code, reason }: Waiting): string => {
  const status = /^http_(\d{3})$/.exec(code)?.[1];
  if (status !== undefined)
    return `${code}: what answers there does not answer as a vault does: see the address, and what lies between`;
  return reason === undefined ? code : `${code}: ${reason}`;
};

export type TalkOptions = {
  readonly showNames: boolean;
  readonly stdout?: NodeJS.WriteStream;
  readonly stderr?: NodeJS.WriteStream;
};

/**
 * What an import says: tables on a terminal, one line of JSON for everything in a pipe. Neither holds a name or a number of a
 * call unless names are asked for; a file is told by the id that journal and report know it by.
 */
export const createImportTalk = ({
  showNames,
  stdout = process.stdout,
  stderr = process.stderr,
}: TalkOptions) => {
  const json = stdout.isTTY !== true;
  const shows = !json && stderr.isTTY === true;
  const pace = createPace();
  let waitingFor = '';
  const event = (name: string, values: object): void => printData(JSON.stringify({ event: name, ...values }));
  const clear = (): void => {
    if (shows) stderr.write('\r\x1b[K');
  };
  const line = (text: string): void => {
    clear();
    stderr.write(`callvault: ${text}\n`);
  };
  const isTime = createTicker(json ? PIPE_MS : TERMINAL_MS);

  return {
    exception({ name, ...told }: Exception): void {
      const shown = showNames ? { ...told, name } : told;
      if (json) event('exception', shown);
      else {
        const { file, outcome, code = '', reason } = told;
        clear();
        printData([outcome, reason ?? code, file, ...(showNames ? [JSON.stringify(name)] : [])].join('\t'));
      }
    },
    /** Named as exceptions are, with its content: by that the file is found that it is a copy of. */
    otherCall({ sha256, differs }: OtherCall, name: string): void {
      clear();
      if (json) event('other_call', { sha256, differs, name });
      else printData(['other_call', differs.join(', '), sha256, JSON.stringify(name)].join('\t'));
    },
    progress(progress: Progress): void {
      waitingFor = '';
      if (!isTime()) return;
      const now = pace(progress);
      if (json) event('progress', { ...progress, ...rounded(now) });
      if (!shows) return;
      stderr.write(`\r\x1b[K${progressLine(progress, now)}`);
    },
    counting(files: number, bytes: number): void {
      if (!isTime()) return;
      if (json) event('progress', { files, bytes });
      if (shows) stderr.write(`\r\x1b[K${files} files, ${size(bytes)}`);
    },
    waiting(waiting: Waiting): void {
      const { code, pauseMs } = waiting;
      if (code === waitingFor) return;
      waitingFor = code;
      const when = pauseMs < 1000 ? 'at once' : `in ${clock(pauseMs / 1000)}`;
      line(`the vault takes nothing now (${whyOf(waiting)}); tried again ${when}, nothing is lost.`);
    },
    inventory(inventory: Inventory): void {
      clear();
      if (json) event('inventory', inventory);
      else printInventory(inventory);
    },
    wiped(progress: Wiped): void {
      if (!isTime()) return;
      if (json) event('wiping', progress);
      if (shows) stderr.write(`\r\x1b[K${progress.wiped} removed`);
    },
    wipe(progress: Wiped): void {
      clear();
      if (json) event('wiped', progress);
      else printWiped(progress);
    },
    report(report: Report, entry: Entry): void {
      clear();
      if (json) event('report', { ...report, entry: entry.id, at: entry.at });
      else printReport(report, entry);
    },
    line,
  };
};

export type ImportTalk = ReturnType<typeof createImportTalk>;
