import type { WatchEvent, WatchTotals } from '../agent/watch-options.ts';
import { printData } from './print.ts';

/** A trouble that lasts is said again after so long, in milliseconds. */
const SAY_AGAIN_MS = 600_000;
const PROGRESS_MS = 1_000;

const size = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
/** Enough to find it with sha256sum. */
const shortOf = (sha256: string): string => `sha256:${sha256.slice(0, 16)}`;

const troubles: Readonly<Record<Extract<WatchEvent, { event: 'trouble' }>['what'], string>> = {
  file: 'A file cannot be read',
  removal:
    'A file is stored but cannot be removed; it stays, and is not sent again before it changes, or without a state file before a restart',
  removal_later:
    'A file is stored but cannot be removed now: it is open elsewhere, or the share is away; it stays, and is tried again',
  folder: 'The folder cannot be read, which is tried again',
  state: 'The state file cannot be written: what is stored is remembered until the end of this process only',
  unlinked: 'A recording was written to after it had been stored and removed',
};
const missing: Readonly<Record<Extract<WatchEvent, { event: 'missing' }>['what'], string>> = {
  side_file: 'finished recordings wait for a side file that does not come',
  recording: 'files are named like side files, and no recording lies beside them: they stay, as they are',
};
/** Another agent delivers the file: a trouble only when that goes on for long. */
const IN_PROGRESS_TRIES = 8;

const progressOf = (totals: WatchTotals): string => {
  const { stored, bytes, waiting, refused, unremoved, active, vaultAnswers } = totals;
  const parts = [`${stored} stored (${size(bytes)})`, `${waiting} waiting`];
  if (active > 0) parts.push(`${active} under way`);
  if (refused > 0) parts.push(`${refused} refused`);
  if (unremoved > 0) parts.push(`${unremoved} not removed`);
  if (!vaultAnswers) parts.push('the vault does not take deliveries');
  return parts.join(', ');
};

/**
 * What `watch` says: JSON lines on stdout with `--json`, troubles on stderr, progress where stderr is a terminal. A file is
 * told by its digest, never by its name.
 */
export const createWatchTalk = (json: boolean, stderr: NodeJS.WriteStream = process.stderr) => {
  const isTerminal = stderr.isTTY === true && !json;
  let [said, saidAt] = ['', 0];
  let isVaultAway = false;
  let timer: NodeJS.Timeout | null = null;

  const line = (text: string): void => {
    stderr.write(`${isTerminal ? '\r\x1b[K' : ''}callvault: ${text}\n`);
  };
  /** Not the same trouble for every file and every try. */
  const seldom = (text: string, more: string): void => {
    if (text === said && performance.now() - saidAt < SAY_AGAIN_MS) return;
    [said, saidAt] = [text, performance.now()];
    line(`${text}${more}`);
  };
  const talk = (event: WatchEvent): void => {
    switch (event.event) {
      case 'stored':
        if (!isVaultAway) return;
        line('The vault takes deliveries again.');
        [said, isVaultAway] = ['', false];
        return;
      case 'refused':
        line(`Refused, and left where it is: ${shortOf(event.sha256)}: ${event.reason} (${event.code})`);
        return;
      case 'later': {
        if (event.code === 'in_progress' && event.tries < IN_PROGRESS_TRIES) return;
        if (event.vault) isVaultAway = true;
        const text = `Not stored, and kept: ${event.reason} (${event.code})`;
        seldom(text, event.pauseMs > 0 ? `; next try in ${Math.ceil(event.pauseMs / 1_000)} s` : '');
        return;
      }
      case 'unseen':
        line(
          `Not everybody who may write these recordings can be seen from here, so one is finished when it has rested for ${event.restMs / 1_000} s, and one with hardly any sound for ${event.silentRestMs / 1_000} s.`,
        );
        return;
      case 'missing':
        line(`${event.files} ${missing[event.what]}.`);
        return;
      case 'trouble':
        line(`${troubles[event.what]} (${event.code}).`);
        return;
    }
  };

  return {
    onEvent(event: WatchEvent): void {
      if (json) printData(JSON.stringify(event));
      else talk(event);
    },
    begin(totals: () => WatchTotals): void {
      if (!isTerminal) return;
      timer = setInterval(() => stderr.write(`\r\x1b[K${progressOf(totals())}`), PROGRESS_MS);
      timer.unref();
    },
    end(totals: WatchTotals): void {
      if (timer !== null) clearInterval(timer);
      if (json) printData(JSON.stringify({ event: 'end', ...totals }));
      else if (isTerminal) line(`Ended: ${progressOf(totals)}.`);
      if (!json && totals.otherKinds > 0)
        line(
          `${totals.otherKinds} files were left alone, for their names promise no audio (--all takes them) or begin with a dot.`,
        );
    },
  };
};
