import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A mutation run of the log's verifier (`npm run mutate:verifier`): each of these breaks one rule in a copy of the sources,
 * and the unit tests must notice. Ends with 1 and names those that survive; those in `equivalent` cannot be noticed, and say why.
 */
type Mutant = { readonly file: string; readonly from: string; readonly to: string };
const mutant = (file: string, from: string, to: string): Mutant => ({ file, from, to });

const mutants: readonly Mutant[] = [
  // Proofs.
  mutant('proof.ts', 'roots.from.equals(roots.to)', 'true'),
  mutant('proof.ts', 'return folded?.from.equals(roots.from) === true && ', 'return folded !== null && '),
  mutant('proof.ts', ' && folded.to.equals(roots.to);', ';'),
  mutant(
    'proof.ts',
    'if (first === undefined || rest.length === 0) return false;',
    'if (first === undefined) return false;',
  ),
  mutant('proof.ts', 'return last === 0 ? root : null;', 'return root;'),
  mutant(
    'proof.ts',
    'if (node % 2 === 1 || node === last) {\n      root',
    'if (node % 2 === 1) {\n      root',
  ),
  mutant('proof.ts', 'seq >= 0 && seq < size', 'seq >= 0'),
  // The rules of every walk.
  mutant('walk.ts', 'commitmentOf(entry.salt, entry.body).equals(commitment)', 'true'),
  mutant('walk.ts', 'if (!same && onDiffering !== undefined) onDiffering(anchor);', ''),
  mutant('walk.ts', 'leaf.eventId !== null && event.id !== leaf.eventId', 'false'),
  mutant('walk.ts', 'if (differing.length > 0) faultyColumns', 'if (differing.length > 11) faultyColumns'),
  mutant('walk.ts', '.sort((a, b) => a.size - b.size)', ''),
  mutant('walk.ts', 'if (event.at < notBefore - SKEW_MS)', 'if (event.at < notBefore)'),
  mutant('walk.ts', 'if (same) walk.notBefore', 'walk.notBefore'),
  mutant('verify.ts', 'rangeBytes(walk.range).equals(batch.range) && ', ''),
  mutant('verify.ts', ' && rootOf(walk.range).equals(batch.root)', ''),
  mutant('verify.ts', 'if (firstSeq !== walk.batchedTo)', 'if (firstSeq > walk.batchedTo)'),
  mutant('verify.ts', 'if (hash?.equals(node.hash)) continue;', 'if (hash !== undefined) continue;'),
  mutant('verify.ts', 'if (walk.batchedTo !== walked)', 'if (walk.batchedTo > walked)'),
  mutant('verify.ts', 'walk.sound = seq + 1', 'walk.sound = 0'),
  mutant('verify.ts', 'index !== null && index >= sound', 'false'),
  mutant('verify.ts', 'if (unreadable === true)', 'if (false)'),
  // Exports: the run.
  mutant(
    'export-walk.ts',
    'if (isConsistent(header.to, header.size, roots, bytesOf(header.after))) return;',
    'return;',
  ),
  mutant('export-walk.ts', 'if (next < header.to) sayMissing', 'if (next > header.to) sayMissing'),
  mutant('export-walk.ts', 'if (seq > run.next) sayMissing', 'if (seq < run.next) sayMissing'),
  mutant('export-walk.ts', 'if (seq < run.next || seq >= header.to) {', 'if (seq < run.next) {'),
  mutant('export-walk.ts', 'if (columns.length > 0) faultyColumns', 'if (columns.length > 9) faultyColumns'),
  mutant('export-walk.ts', 'edge !== null && from <= to && to <= size', 'edge !== null'),
  mutant('export-walk.ts', 'walk.missing?.withheld();', ''),
  // Exports: the selection.
  mutant('export-walk.ts', "if (root?.toString('base64') === header.root) return;", 'if (root) return;'),
  mutant('export-walk.ts', 'if (!matches(header.filter, event))', 'if (false)'),
  mutant('export-walk.ts', '(at === last.at && seq >= last.seq)', 'false'),
  mutant('export-walk.ts', "if (line.content === 'withheld')\n", 'if (false)\n'),
  // Exports: header, signature, end.
  mutant('export-verify.ts', 'if (trust.keys.length > 0 || trust.quorum > 0)', 'if (false)'),
  mutant('export-verify.ts', 'if (opened.checkpoint.origin !== header.origin)', 'if (false)'),
  mutant(
    'export-verify.ts',
    'if (isConsistent(size, header.size, roots, bytesOf(header.consistency))) return;',
    'return;',
  ),
  mutant(
    'export-verify.ts',
    'size > header.from && size <= header.to) return;',
    'size <= header.to) return;',
  ),
  mutant('export-verify.ts', 'if (header.size >= atLeast) return;', 'return;'),
  mutant('export-verify.ts', 'if (entry >= size) return;', 'return;'),
  mutant('export-verify.ts', 'if (entry >= size) return;', 'if (entry > size) return;'),
  mutant('export-verify.ts', 'if (state.end.entries !== state.entries)', 'if (false)'),
  mutant('export-verify.ts', 'if (state.end.end !== before)', 'if (false)'),
  mutant('export-verify.ts', "if (state.end === null || rest !== 'none') {", 'if (state.end === null) {'),
  mutant('export-verify.ts', 'if (told !== null && told !== anchor.root)', 'if (false)'),
  mutant('export-format.ts', 'written(header) === line ? header : null', 'header'),
  mutant('export-format.ts', 'formatEnd(parsed) === line ? parsed : null', 'parsed'),
  mutant('export-format.ts', '[AEIMQUYcgkosw048]=$/', '[A-Za-z0-9+/]=$/'),
  mutant('export-format.ts', '!Number.isSafeInteger(seq)', 'false'),
  mutant('line-splitter.ts', 'isUtf8(line) ? line.toString', 'true ? line.toString'),
  mutant('line-splitter.ts', 'tooLong = pending.length > MAX_LINE_BYTES;', ''),
  // Exports: what several say of each other.
  mutant('export-agreement.ts', ' && origin !== null && one.verdict.origin === origin', ''),
  mutant('export-agreement.ts', 'verdict.ok && showing.given', 'showing.given'),
  mutant('export-agreement.ts', 'given.count > verdict.bodies + verdict.pruned &&', 'true &&'),
  mutant('export-agreement.ts', 'isOfRun(verdict, given) &&\n', 'true &&\n'),
  mutant('export-agreement.ts', 'if (!isOfRun(verdict, given)) return false;', ''),
  // Trust, and checkpoints kept elsewhere.
  mutant('trust.ts', 'trust.keys.includes(key) && key.name === origin', 'trust.keys.includes(key)'),
  mutant('trust.ts', 'if (trust.keys.length > 0 && !own)', 'if (false)'),
  mutant('trust.ts', 'if (seen < trust.quorum)', 'if (seen > trust.quorum)'),
  mutant('trust.ts', 'if (verified === null) return', 'if (false) return'),
  mutant(
    'note.ts',
    'if (key === undefined || verified.has(key)) continue;',
    'if (key === undefined) continue;',
  ),
  mutant('kept-notes.ts', 'a.writtenAt - b.writtenAt ||', 'b.writtenAt - a.writtenAt ||'),
  mutant('kept-notes.ts', '!last.checkpoint.root.equals(checkpoint.root)', 'false'),
];

/** Changes that no input can tell from the original. */
const equivalent: Readonly<Record<string, string>> = {
  'first === undefined || rest.length === 0':
    'of a smaller tree the path has more than one node: with one, the fold ends above the last level and is refused there',
  '!Number.isSafeInteger(seq)':
    'no run reaches so far, and no proof is of such a place: refused by the next rule',
};
const reasonOf = (from: string): string | undefined =>
  Object.entries(equivalent).find(([part]) => from.includes(part))?.[1];

/** All, or those whose file or text has one of the words that are given. */
const words = process.argv.slice(2);
const wanted = mutants.filter(
  ({ file, from }) => words.length === 0 || words.some((word) => file === word || from.includes(word)),
);

const ROOT = join(import.meta.dirname, '..');
const TESTS = [
  'export-agreement',
  'export-attacks',
  'export-verify',
  'export-verify-form',
  'export-verify-history',
  'verify',
  'verify-attacks',
  'kept-notes',
  'proof',
  'note',
  'checkpoint',
].map((name) => `test/unit/core/audit/${name}.test.ts`);

const passes = (folder: string): Promise<boolean> =>
  new Promise((resolve) => {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const args = [vitest, 'run', '--project', 'unit', '--bail', '1', '--reporter', 'dot', ...TESTS];
    execFile(process.execPath, args, { cwd: folder, timeout: 120_000 }, (error) => resolve(error === null));
  });

const folder = await mkdtemp(join(tmpdir(), 'cv-mutants-'));
try {
  for (const name of ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'])
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  if (!(await passes(folder))) throw new Error('the tests fail without any change');
  const survivors: string[] = [];
  for (const { file, from, to } of wanted) {
    const path = join(folder, 'src/core/audit', file);
    const original = await readFile(path, 'utf8');
    if (original.split(from).length !== 2) throw new Error(`${file} has not one ${from}`);
    await writeFile(
      path,
      original.replace(from, () => to),
    );
    const survived = await passes(folder);
    await writeFile(path, original);
    const name = `${file}: ${JSON.stringify(from)} → ${JSON.stringify(to)}`;
    const why = survived ? reasonOf(from) : undefined;
    if (survived && why === undefined) survivors.push(name);
    const word = survived ? (why === undefined ? 'SURVIVED' : 'equivalent') : 'killed';
    process.stdout.write(`${word}\t${name}${why === undefined ? '' : `: ${why}`}\n`);
  }
  process.stdout.write(`${wanted.length} mutants, ${survivors.length} survivors\n`);
  process.exitCode = survivors.length === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true });
}
