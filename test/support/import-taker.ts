import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createDeliveryGate } from '../../src/agent/delivery-gate.ts';
import { createCallOf } from '../../src/agent/import/call-of.ts';
import { createTakeFile } from '../../src/agent/import/take-file.ts';
import { walk } from '../../src/agent/import/walk.ts';
import { createWriters } from '../../src/agent/import/writers.ts';
import { createVaultClient } from '../../src/agent/vault-client.ts';
import { createVaultQuestions } from '../../src/agent/vault-questions.ts';
import { createLegacyNames } from '../../src/core/legacy-names.ts';
import type { Share } from './import-share.ts';

/** What a vault answers otherwise than it should. */
export type Script = {
  readonly verification?: object | number;
  /** With a status of `verification`. */
  readonly code?: string;
  /** What becomes of the upload of a file of this name. */
  readonly upload?: (name: string) => 'cut' | number | null;
};

/** What answers as a vault should, but for what a test changes. */
const startLyingVault = async (given: Script) => {
  let script = given;
  const id = randomUUID();
  let uploads = 0;
  const listener: RequestListener = (request, response) => {
    const digest = /:(.+):/.exec(String(request.headers['content-digest']))?.[1] ?? '';
    const sha256 = Buffer.from(digest, 'base64').toString('hex');
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => {
      const say = (status: number, body: object): void => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      if (request.method === 'PUT') {
        uploads += 1;
        const end = script.upload?.(String(request.headers['x-call-original-name'])) ?? null;
        if (end === 'cut') return request.socket.destroy();
        if (end !== null) return say(end, { code: 'forbidden' });
        last = { id, sha256, bytes };
        return say(201, { id, sha256 });
      }
      if (request.method === 'GET') return say(200, { status: 'alive' });
      const { verification = {}, code = 'integrity_failure' } = script;
      if (typeof verification === 'number') return say(verification, { code });
      return say(200, { ...last, ...verification });
    });
  };
  let last: { id: string; sha256: string; bytes: number } = { id, sha256: '', bytes: 0 };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = createVaultClient({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    apiKey: 'key',
  });
  return {
    client,
    questions: createVaultQuestions(client),
    uploads: () => uploads,
    close: async (): Promise<void> => {
      client.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    say: (other: Script): void => {
      script = other;
    },
  };
};

/** One look is enough where nothing is removed and nobody writes. */
const oneLook = createWriters({ maxAgeMs: 600_000 });

/** An import of this share into a vault that answers by `script`. */
export const takerOf = async (
  on: Share,
  script: Script,
  minAgeMs = 0,
  writersOf = oneLook,
  unseenMs = minAgeMs,
) => {
  const { client, questions, uploads, say, close } = await startLyingVault(script);
  on.afterwards(close);
  const journal = await on.journalAt();
  const take = createTakeFile({
    client,
    questions,
    journal,
    gate: createDeliveryGate({ firstMs: 1, ceilingMs: 5 }),
    callOf: createCallOf({ parse: createLegacyNames({ timeZone: 'UTC' }), said: {}, now: Date.now }),
    checkUnits: async () => null,
    sides: { renames: new Map(), timeZone: 'UTC' },
    minAge: { seenMs: minAgeMs, unseenMs },
    writersOf,
    now: Date.now,
    onWaiting: () => undefined,
  });
  const all = async () => {
    const outcomes: Record<string, string> = {};
    for await (const found of walk(on.share)) {
      const { entry: told } = await take(found, AbortSignal.timeout(20_000));
      outcomes[found.relative.toString()] = told.outcome;
      if (found.kind === 'file') await found.release();
    }
    return outcomes;
  };
  return { journal, questions, all, uploads, say };
};
