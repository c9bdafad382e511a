import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { commitmentOf, leafOf } from '../src/core/audit/commitment.ts';
import { encodeEvent } from '../src/core/audit/entry.ts';
import { type ExportLine, formatEnd, formatHeader, formatLine } from '../src/core/audit/export-format.ts';
import { createExportVerifier } from '../src/core/audit/export-verify.ts';
import { emptyRange, extendRange, rootOf } from '../src/core/audit/merkle.ts';
import { freshEvent } from '../test/support/audit-events.ts';

/**
 * Offline verification of an export, on one core, beside the plain SHA-256 of the same bytes and the reading of them. Rounds
 * take turns, so that a noisy minute meets all. Prints figures and ratios and asserts no times.
 */
const { values: options } = parseArgs({
  options: { entries: { type: 'string', default: '100000' }, rounds: { type: 'string', default: '3' } },
});
const ENTRIES = Number(options.entries);
const ROUNDS = Number(options.rounds);
const PIECE = 256 * 1024;
const BATCH = 1_000;

const lineOf = (seq: number): ExportLine => {
  const { body } = encodeEvent(freshEvent({ at: 1_763_719_200_000 + seq }));
  const salt = randomBytes(32);
  return { seq, commitment: commitmentOf(salt, body), columns: [], proof: null, content: { salt, body } };
};

/** The header says the root, which is known when the last line is written: lines first, then the whole. */
const writeExport = (path: string): void => {
  const file = openSync(`${path}.lines`, 'w');
  let range = emptyRange;
  for (let from = 0; from < ENTRIES; from += BATCH) {
    const lines = Array.from({ length: Math.min(BATCH, ENTRIES - from) }, (_, i) => lineOf(from + i));
    range = extendRange(
      range,
      lines.map(({ commitment }) => leafOf(commitment)),
    );
    writeSync(file, lines.map((line) => `${formatLine(line)}\n`).join(''));
  }
  closeSync(file);
  const header = formatHeader({
    kind: 'range',
    origin: null,
    filter: { recording: null, actor: null, subjects: null, since: null, until: null },
    entry: ENTRIES,
    size: ENTRIES,
    root: rootOf(range).toString('base64'),
    checkpoint: null,
    consistency: [],
    from: 0,
    to: ENTRIES,
    before: [],
    after: [],
  });
  const whole = openSync(path, 'w');
  const digest = createHash('sha256');
  const write = (bytes: Buffer): void => {
    digest.update(bytes);
    writeSync(whole, bytes);
  };
  write(Buffer.from(`${header}\n`));
  readPieces(`${path}.lines`, write);
  writeSync(whole, `${formatEnd({ end: digest.digest('hex'), entries: ENTRIES })}\n`);
  closeSync(whole);
};

const readPieces = (path: string, take: (piece: Buffer) => void): void => {
  const file = openSync(path, 'r');
  const piece = Buffer.alloc(PIECE);
  for (;;) {
    const length = readSync(file, piece);
    if (length === 0) break;
    take(piece.subarray(0, length));
  }
  closeSync(file);
};

type Way = { readonly name: string; readonly run: (path: string) => void };
const ways: readonly Way[] = [
  { name: 'read', run: (path) => readPieces(path, () => undefined) },
  {
    name: 'sha256',
    run: (path) => {
      const digest = createHash('sha256');
      readPieces(path, (piece) => digest.update(piece));
      digest.digest();
    },
  },
  {
    name: 'verify',
    run: (path) => {
      const verifier = createExportVerifier();
      readPieces(path, verifier.push);
      const verdict = verifier.finish();
      if (!verdict.ok || verdict.bodies !== ENTRIES) throw new Error(JSON.stringify(verdict));
    },
  },
];

/** Seconds of processor time that this process has used, its collector's threads included. */
const processorTime = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** Highest resident memory of the command, from its own process: this one has made the file. */
const peakMiB = (path: string): number => {
  const program = `
    process.argv.push('verify', ${JSON.stringify(path)});
    process.on('exit', () => process.stderr.write('peak ' + process.resourceUsage().maxRSS));
    await import(${JSON.stringify(join(import.meta.dirname, '../src/cli/main.ts'))});`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, '--'], {
    encoding: 'utf8',
  });
  return Math.round(Number(/peak (\d+)/.exec(stderr)?.[1]) / 1024);
};

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

const folder = mkdtempSync(join(tmpdir(), 'cv-bench-'));
try {
  const path = join(folder, 'export.ndjson');
  writeExport(path);
  const seconds: Record<string, number[]> = {};
  for (let round = 0; round < ROUNDS; round += 1)
    for (const { name, run } of ways) {
      const before = processorTime();
      run(path);
      const spent = processorTime() - before;
      seconds[name] = [...(seconds[name] ?? []), spent];
    }
  const bytes = statSync(path).size;
  const told = Object.fromEntries(Object.entries(seconds).map(([name, all]) => [name, median(all)]));
  const verify = told.verify ?? Number.NaN;
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  say(`${ENTRIES} entries, ${Math.round(bytes / ENTRIES)} bytes each; processor time, median of ${ROUNDS}`);
  for (const [name, spent] of Object.entries(told)) {
    const entries = String(Math.round(ENTRIES / spent)).padStart(10);
    say(`${name.padEnd(8)}${entries} entries/s${(bytes / spent / 1e6).toFixed(0).padStart(8)} MB/s`);
  }
  const times = (verify / (told.sha256 ?? Number.NaN)).toFixed(1);
  say(`verify takes ${times} times the SHA-256 of the same bytes`);
  say(`callvault verify as a process of its own: ${peakMiB(path)} MiB at most`);
} finally {
  rmSync(folder, { recursive: true });
}
