import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CheckpointPlace } from '../../src/audit/checkpoint-place.ts';
import { createCheckpointRows } from '../../src/audit/checkpoint-rows.ts';
import { type CheckpointSigner, createCheckpointer } from '../../src/audit/checkpointer.ts';
import type { AuditWriter } from '../../src/audit/writer.ts';
import { keyTypes, noteKey } from '../../src/core/audit/note.ts';
import { openCheckpointFolder } from '../../src/storage/checkpoint-folder.ts';
import type { LogLine } from './audit-writers.ts';
import type { TestDatabase } from './postgres.ts';

export const ORIGIN = 'callvault.00000000-0000-4000-8000-000000000001';

/** A log's key that lives as long as the test. */
export const createTestSigner = (name = ORIGIN): CheckpointSigner => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const key = noteKey(name, keyTypes.ed25519, raw);
  return {
    name,
    keys: async () => [key],
    sign: async (text) => ({ name, keyId: key.id, bytes: sign(null, Buffer.from(text), privateKey) }),
  };
};

export type Away = { away: boolean };

/** A place that can be cut off. */
export const cuttable = (place: CheckpointPlace): CheckpointPlace & Away => {
  const cut: Away = { away: false };
  const reach = async <T>(ask: () => Promise<T>): Promise<T> => {
    if (cut.away) throw new Error('the place is away');
    return ask();
  };
  return Object.assign(cut, {
    ...place,
    keep: (name: string, text: string) => reach(() => place.keep(name, text)),
    read: (name: string) => reach(() => place.read(name)),
  });
};

/** A folder of checkpoints and everything that runs on it, for one test file. */
export const createCheckpointScene = async (database: TestDatabase) => {
  const folder = await mkdtemp(join(tmpdir(), 'cvc-'));
  const opened: { close(): Promise<void> }[] = [];
  const signer = createTestSigner();
  return {
    folder,
    signer,
    openFolder: () => openCheckpointFolder(folder, Date.now()),
    /** A checkpointer of a process of its own, beside this writer. */
    open: async (
      writer: AuditWriter | null,
      options: { signer?: CheckpointSigner; place?: CheckpointPlace } = {},
    ) => {
      const lines: LogLine[] = [];
      const line = (level: LogLine['level']) => (fields: object, message: string) => {
        lines.push({ level, fields, message });
      };
      const log = { info: line('info'), warn: line('warn'), error: line('error') };
      const place = options.place ?? (await openCheckpointFolder(folder, Date.now()));
      const made = createCheckpointer({
        rows: createCheckpointRows({ postgres: database.app, log }),
        signer: options.signer ?? signer,
        places: [place],
        verifiedHead: () => writer?.verifiedHead() ?? null,
        halt: (error) => writer?.halt(error),
        log,
      });
      opened.push(made);
      return { ...made, lines, alarms: () => lines.filter(({ message }) => message.startsWith('ALARM')) };
    },
    close: async (): Promise<void> => {
      for (const one of opened) await one.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};

export type CheckpointScene = Awaited<ReturnType<typeof createCheckpointScene>>;
