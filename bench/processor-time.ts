import { readdirSync, readFileSync } from 'node:fs';

/** Kernel clock ticks are hundredths of a second on every Linux that Node runs on. */
const TICK_MS = 10;

/** Processor time (user and system, ms) that a process and its descendants have used: what noise on the machine changes least. */
export const processorMs = (root: number): number => {
  const children = new Map<number, number[]>();
  const used = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const parent = Number(fields[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
      used.set(Number(name), (Number(fields[11]) + Number(fields[12])) * TICK_MS);
    } catch {
      // It ended while we looked.
    }
  }
  const sum = (pid: number): number =>
    (used.get(pid) ?? 0) + (children.get(pid) ?? []).reduce((total, child) => total + sum(child), 0);
  return sum(root);
};
