import { chmod, mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { walk } from '../../src/agent/import/walk.ts';
import { hasShare } from '../support/import-share.ts';

const on = hasShare();
const { listed } = on;

describe('a share is gone through', () => {
  test('whatever its names are, and no link is followed', async () => {
    await mkdir(join(on.share, 'a\nb'));
    await writeFile(join(on.share, 'a\nb', '📞"\'.wav'), 'x');
    await writeFile(
      Buffer.concat([Buffer.from(`${on.share}/m`), Buffer.from([0xf6]), Buffer.from('te.wav')]),
      'x',
    );
    await symlink('/etc', join(on.share, 'out'));
    await symlink('a\nb', join(on.share, 'within'));
    expect(await listed()).toEqual(
      [
        'file m\xf6te.wav',
        `file a\nb/${Buffer.from('📞"\'.wav').toString('latin1')}`,
        'link out',
        'link within',
      ].toSorted(),
    );
  });

  test('a folder that becomes a link while its files are taken leads nowhere else', async () => {
    await mkdir(join(on.share, 'day'));
    await mkdir(join(on.home, 'secret'));
    for (const n of [1, 2, 3]) {
      await writeFile(join(on.share, 'day', `${n}.wav`), 'share');
      await writeFile(join(on.home, 'secret', `${n}.wav`), 'secret');
    }
    const seen: string[] = [];
    const found = walk(on.share);
    for await (const one of found) {
      if (seen.length === 0) {
        await rename(join(on.share, 'day'), join(on.home, 'moved'));
        await symlink(join(on.home, 'secret'), join(on.share, 'day'));
      }
      if (one.kind !== 'file') continue;
      seen.push(await readFile(one.path, 'utf8'));
      await one.release();
    }
    expect(seen).toEqual(['share', 'share', 'share']);
  });

  test('folders without end and folders that cannot be read are told', async () => {
    const deep = join(on.share, ...Array.from({ length: 70 }, () => 'd'));
    await mkdir(deep, { recursive: true });
    await writeFile(join(deep, 'x.wav'), 'x');
    await mkdir(join(on.share, 'closed'));
    await chmod(join(on.share, 'closed'), 0);
    const kinds = (await listed()).map((one) => one.split(' ', 1)[0]);
    // Whoever runs the tests as root can read every folder.
    expect(kinds).toEqual(process.geteuid?.() === 0 ? ['too_deep'] : ['folder_unreadable', 'too_deep']);
    await chmod(join(on.share, 'closed'), 0o700);
  });

  test('a share that is not there is said to be unreadable', async () => {
    await expect(walk(join(on.home, 'nowhere')).next()).rejects.toMatchObject({ code: 'config_invalid' });
  });
});
