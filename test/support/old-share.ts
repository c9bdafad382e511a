import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { generatedCall } from './generated-call.ts';

/** What an import must say of a file of the share. */
export type Expected = 'verified' | 'link' | 'special' | 'not_recording' | 'program_or_archive';
export type OldShare = {
  readonly folder: string;
  /** How many things of each end. */
  readonly expected: Readonly<Record<Expected, number>>;
  /** SHA-256 of every recording that is not empty; the same content once. */
  readonly contents: ReadonlySet<string>;
  /** Recordings without a byte. */
  readonly empty: number;
};

const ELF = Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01', 'latin1'), Buffer.alloc(600, 7)]);
const OLD = new Date('2016-05-04T03:02:01Z');

/** Beginning with RIFF and a length, and little else: kinds that recorders left behind when they crashed. */
const damaged = (n: number): Buffer => {
  const whole = Buffer.from(generatedCall(1, n + 1_000_000));
  if (n % 3 === 0) whole.writeUInt32LE(0xffff_ffff, 40);
  return n % 3 === 1 ? whole.subarray(0, 30 + (n % 15)) : whole.subarray(0, 5000);
};

/** Names that mean harm, each a regular recording. */
const evilNames = (n: number): string[] => [
  `new\nline-${n}.wav`,
  `"quoted" 'twice' ${n}.wav`,
  `..\\..\\etc-${n}.wav`,
  `..%2f..%2f${n}.wav`,
  `$(reboot)\`id\`;${n}.wav`,
  `\x1b[31mred-${n}.wav`,
  // 255 bytes, the longest name that there is.
  `${'📞'.repeat(61)}${String(n).padStart(7, '0')}.wav`,
  ` leading and trailing ${n} .wav`,
  `-rf ${n}.wav`,
];

const noneYet = (): Record<Expected, number> => ({
  verified: 0,
  link: 0,
  special: 0,
  not_recording: 0,
  program_or_archive: 0,
});

const makeFolders = async (folder: string): Promise<void> => {
  for (let day = 1; day <= 9; day += 1) await mkdir(join(folder, '2015/01', `0${day}`), { recursive: true });
};

/** Short, of a length and a content that `n` decides. */
const smallCall = (n: number, bytes: number): Buffer =>
  generatedCall(1, n + 1).subarray(0, 44 + bytes + 2 * (n % 50));

const stampOf = (n: number): string => `2015010${1 + (n % 9)}-${String(8 + (n % 10)).padStart(2, '0')}1500`;

/**
 * An old share of `count` things, of which at least one in a hundred means harm. Small calls, all of different content but
 * some, which lie there twice.
 */
export const makeOldShare = async (folder: string, count: number, bytes = 600): Promise<OldShare> => {
  const expected = noneYet();
  const contents = new Set<string>();
  const fifos: string[] = [];
  let empty = 0;
  const put = async (name: string | Buffer, content: Buffer, end: Expected): Promise<void> => {
    const path = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]);
    await writeFile(path, content);
    await utimes(path, OLD, OLD);
    expected[end] += 1;
    if (end !== 'verified') return;
    if (content.length === 0) empty += 1;
    else contents.add(createHash('sha256').update(content).digest('hex'));
  };
  const call = (n: number): Buffer => smallCall(n, bytes);
  /** Its name tells nothing, and whoever has the same sound told more. */
  const odd = (n: number): Buffer => smallCall(n + 500_000, bytes);

  const hostile = async (n: number): Promise<void> => {
    switch (n % 10) {
      case 0:
        return put(`0701740${String(n).padStart(6, '0')}.mp3`, ELF, 'program_or_archive');
      case 1:
        await symlink('/etc/passwd', join(folder, `link-${n}.wav`));
        expected.link += 1;
        return;
      case 2:
        fifos.push(join(folder, `fifo-${n}.wav`));
        expected.special += 1;
        return;
      case 3:
        return put(`empty-${n}.wav`, Buffer.alloc(0), 'verified');
      case 4:
        return put(
          Buffer.concat([Buffer.from(`m\xf6te-${n}`, 'latin1'), Buffer.from('.wav')]),
          odd(n),
          'verified',
        );
      case 5:
        return put(`notes-${n}.txt`, Buffer.from('0701740605 called, says hello'), 'not_recording');
      case 6:
        return put(`damaged-${n}.wav`, damaged(n), 'verified');
      case 7:
        await symlink('..', join(folder, `up-${n}`));
        expected.link += 1;
        return;
      default:
        return put(evilNames(n)[Math.floor(n / 10) % 9] as string, odd(n), 'verified');
    }
  };

  await makeFolders(folder);
  for (let n = 0; n < count; n += 1) {
    if (n % 50 === 17) await hostile(Math.floor(n / 50));
    else {
      const day = `2015/01/0${1 + (n % 9)}`;
      // Some lie there twice, in another folder, as copies do.
      const of = n % 100 === 99 ? n - 1 : n;
      const name = `external-102-0701740${String(of % 1000).padStart(3, '0')}-${stampOf(of)}-14201073${String(of % 100).padStart(2, '0')}.${of}.wav`;
      await put(`${day}/${name}`, call(of), 'verified');
    }
  }
  if (fifos.length > 0) await promisify(execFile)('mkfifo', fifos);
  return { folder, expected, contents, empty };
};
