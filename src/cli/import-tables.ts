import type { Inventory } from '../agent/import/inventory.ts';
import type { Report } from '../agent/import/report.ts';
import type { Wiped } from '../agent/import/wipe.ts';
import { printData } from './print.ts';

/** Of the access log. */
export type Entry = { readonly id: string; readonly at: string };

export const size = (bytes: number): string =>
  bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

const table = (rows: readonly (readonly [string, string | number])[]): void => {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) printData(`${name.padEnd(width)}  ${value}`);
};
const counted = (counts: Readonly<Record<string, number | undefined>>, indent = '  ') =>
  Object.entries(counts)
    .toSorted((a, b) => (b[1] ?? 0) - (a[1] ?? 0))
    .map(([name, count]) => [`${indent}${name}`, count ?? 0] as const);

export const printInventory = (inventory: Inventory): void => {
  const { recordings, recordingBytes, hours, unknownLength } = inventory;
  table([
    ['found', `${inventory.files} files, ${size(inventory.bytes)}`],
    ['recordings', `${recordings}, ${size(recordingBytes)}`],
    ['hours', `${hours}${unknownLength > 0 ? ` and ${unknownLength} recordings of unknown length` : ''}`],
    ['side files', inventory.sideFiles],
    ['duplicates', inventory.duplicates],
    ['  that tell another call', inventory.otherCalls],
    ['empty', inventory.empty],
    ['names with a number', `${inventory.namesWithNumber}, and ${inventory.namesPerhaps} that may hold one`],
    [
      'names without a time',
      `${inventory.namesWithoutTime}${inventory.timesUnknown > 0 ? `, of which ${inventory.timesUnknown} files have none either` : ''}`,
    ],
    ['names with a day alone', inventory.namesWithDay],
    ['formats', ''],
    ...counted(inventory.formats),
    ['habits of naming', ''],
    ...counted(inventory.patterns),
    ['odd recordings, kept and flagged', ''],
    ...counted(inventory.flags),
    ['left where they are', ''],
    ...counted(inventory.exceptions),
    ...counted(inventory.sideFaults, '    '),
  ]);
};

export const printReport = (report: Report, entry: Entry): void =>
  table([
    ['files', report.files],
    ['stored and read back', `${report.verified}, ${size(report.bytes)}`],
    ['side files', report.sideFiles],
    ['removed here', report.wiped],
    ['left where they are', report.exceptions],
    ...counted(report.reasons),
    ...counted(report.kept, '  verified, but not removed: '),
    ['report', report.path],
    ['sha256', report.sha256],
    ['entry of the access log', `${entry.id} (${entry.at})`],
  ]);

export const printWiped = ({ wiped, kept }: Wiped): void =>
  table([['removed', wiped], ...counted(kept, 'verified, but stays: ')]);
