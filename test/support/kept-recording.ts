import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Call, type CareLineVault, newCall } from './care-line.ts';
import { inspect } from './vault-inspection.ts';

/** A recording in a running vault and the file that holds its object. */
export type KeptRecording = Call & { readonly id: string; readonly path: string };

export const objectPathOf = (dataDir: string, objectKey: string): string => {
  const [room = '', organisation = '', generation = ''] = objectKey.split('/');
  return join(dataDir, 'objects', room, organisation, generation.slice(0, 2), generation);
};

/** `prepare` changes the audio in place before it is delivered. */
export const keepRecording = async (
  { folder, line }: CareLineVault,
  bytes: number,
  prepare: (audio: Buffer) => void = () => undefined,
): Promise<KeptRecording> => {
  const call = newCall(bytes);
  prepare(call.audio);
  const id = await line.store(call);
  const row = (await inspect(folder)).rows.find((one) => one.id === id);
  return { ...call, id, path: objectPathOf(folder.dataDir, row?.object ?? '') };
};

/** Flips one bit of a file. */
export const flipBit = async (path: string, at: number): Promise<void> => {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at);
  await file.close();
};
