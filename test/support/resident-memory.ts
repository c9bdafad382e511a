import { readFile, writeFile } from 'node:fs/promises';

const field = async (pid: number, name: 'VmRSS' | 'VmHWM'): Promise<number> => {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) / 1024;
};

/** Memory of a process that is resident now, in MiB. */
export const residentMiB = (pid: number): Promise<number> => field(pid, 'VmRSS');

/** The most memory of a process that was resident while `run` ran, in MiB: the kernel's own count, nothing is missed. */
export const peakMiBWhile = async (pid: number, run: () => Promise<unknown>): Promise<number> => {
  // Lets the kernel begin to count anew (proc(5), clear_refs).
  await writeFile(`/proc/${pid}/clear_refs`, '5');
  await run();
  return field(pid, 'VmHWM');
};
