import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** Whoever reads or sends at his own pace, over a connection of his own. */
export type Client = { readonly url: string; readonly token: string };

/** Reads an answer at so many bytes per second; resolves with its length when it has ended, rejects when it was cut. */
export const readSlowly = ({ url, token }: Client, path: string, bytesPerSecond: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const asked = { agent: false, headers: { authorization: `Bearer ${token}` } };
    request(`${url}${path}`, asked, (answer) => {
      const read = async (): Promise<number> => {
        let bytes = 0;
        for await (const chunk of answer as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          await sleep((chunk.length / bytesPerSecond) * 1000);
        }
        if (answer.statusCode !== 200) throw new Error(`answered ${answer.statusCode}`);
        return bytes;
      };
      read().then(resolve, reject);
    })
      .once('error', reject)
      .end();
  });

const BLOCK = Buffer.alloc(64 * 1024, 0x55);
const HEADER = Buffer.from(
  '52494646ffffffff57415645666d74201000000001000100401f0000803e00000200100064617461ffffffff',
  'hex',
);

/** A WAV of telephone PCM with so many bytes; a stream that nobody holds. */
function* call(bytes: number): Generator<Buffer> {
  yield HEADER;
  for (let left = bytes - HEADER.length; left > 0; left -= BLOCK.length)
    yield BLOCK.subarray(0, Math.min(left, BLOCK.length));
}

/** Delivers a call of so many bytes by PUT, as fast as it is taken, its length declared or not; resolves with the status. */
export const putCall = ({ url, token }: Client, bytes: number, declared = true): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'audio/wav',
      ...(declared ? { 'content-length': String(bytes) } : {}),
    };
    const asked = { method: 'PUT', agent: false, headers };
    const outgoing = request(`${url}/v1/ingest/${randomUUID()}`, asked, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
    });
    outgoing.once('error', reject);
    Readable.from(call(bytes), { objectMode: false }).pipe(outgoing);
  });
