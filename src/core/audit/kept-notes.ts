import { parseOrigin, sizeOfCheckpointName } from './checkpoint.ts';
import { createFaultList, type Fault } from './fault.ts';
import { openSigned, type SignedCheckpoint, type Trust } from './trust.ts';
import type { Anchor } from './walk.ts';

/** A file that somebody keeps off the database. Attacker-controlled where whoever has the vault could write to it. */
export type KeptFile = {
  /** Name within its folder. */
  readonly name: string;
  readonly text: string;
  /** When it was last written, in milliseconds since 1970: of two that contradict each other the older is believed. */
  readonly writtenAt: number;
};

export type KeptNotes = {
  /** One for each size: heads the log must contain. */
  readonly anchors: readonly Anchor[];
  /** Files that were read as checkpoints. */
  readonly notes: number;
  readonly faultCount: number;
  readonly faults: readonly Fault[];
};

/** `0000000000001500` is a checkpoint, `0000000000001500.0badcafe` the same with the line of a witness under it. */
const COSIGNATURE = /^(.*\d{16})\.[0-9a-f]{8}$/;

const baseName = (name: string): string => name.slice(name.lastIndexOf('/') + 1);

type Opened = SignedCheckpoint & { readonly name: string; readonly writtenAt: number };

/**
 * Checkpoints with the lines of all their witnesses under them: beside a checkpoint lies the same note once more for each
 * witness, with its line. A copy of another text stands for itself.
 */
const withCosignatures = (files: readonly KeptFile[]): readonly KeptFile[] => {
  const notes = new Map(files.filter(({ name }) => !COSIGNATURE.test(name)).map((file) => [file.name, file]));
  const alone: KeptFile[] = [];
  const texts = new Map([...notes].map(([name, { text }]) => [name, text]));
  for (const file of files) {
    const beside = COSIGNATURE.exec(file.name)?.[1];
    if (beside === undefined) continue;
    const note = notes.get(beside);
    if (note === undefined || note.text === '' || !file.text.startsWith(note.text)) alone.push(file);
    else texts.set(beside, (texts.get(beside) ?? '') + file.text.slice(note.text.length));
  }
  return [
    ...[...notes.values()].map((note) => ({ ...note, text: texts.get(note.name) ?? note.text })),
    ...alone,
  ];
};

const epochOf = ({ checkpoint }: Opened): number => parseOrigin(checkpoint.origin).epoch;

/** An epoch's checkpoints follow each other; those of the next may be of the same sizes again. */
const byAge = (a: Opened, b: Opened): number =>
  epochOf(a) - epochOf(b) ||
  a.checkpoint.size - b.checkpoint.size ||
  a.writtenAt - b.writtenAt ||
  (a.name < b.name ? -1 : Number(a.name > b.name));

/**
 * Checkpoints that were kept elsewhere, as heads that the log must contain. What nobody trusted has signed is named; of several
 * for one size the oldest counts, and one that contradicts it is a fork.
 */
export const readKeptNotes = (files: readonly KeptFile[], trust: Trust): KeptNotes => {
  const faults = createFaultList();
  const opened: Opened[] = [];
  for (const { name, text, writtenAt } of withCosignatures(files)) {
    const found = openSigned(text, trust);
    const named = sizeOfCheckpointName(baseName(name));
    if ('fault' in found) faults.add('signature', null, `${name} ${found.fault}.`);
    else if (named !== null && named !== found.checkpoint.size)
      faults.add('signature', null, `${name} holds a checkpoint of ${found.checkpoint.size} entries.`);
    else opened.push({ ...found, name, writtenAt });
  }
  const oldest = opened.toSorted(byAge);
  const log = oldest[0] && parseOrigin(oldest[0].checkpoint.origin).log;
  const anchors: Anchor[] = [];
  let last: Opened | null = null;
  for (const one of oldest) {
    const { checkpoint, name } = one;
    const { log: own, epoch } = parseOrigin(checkpoint.origin);
    if (own !== log) faults.add('signature', null, `${name} is of another log than the others.`);
    else if (last?.checkpoint.size !== checkpoint.size || epochOf(last) !== epoch) {
      last = one;
      if (checkpoint.size > 0)
        anchors.push({
          size: checkpoint.size,
          root: checkpoint.root.toString('hex'),
          from: `in ${name}`,
          ...(epoch === 1 ? {} : { epoch }),
          ...(one.seenAt === null ? {} : { seenAt: one.seenAt * 1000 }),
        });
    } else if (!last.checkpoint.root.equals(checkpoint.root))
      faults.add(
        'anchor',
        null,
        `${last.name} and ${name} are signed for ${checkpoint.size} entries, with different roots: the log was forked.`,
      );
  }
  return { anchors, notes: opened.length, faultCount: faults.count(), faults: faults.sorted() };
};
