import type { ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/core/errors.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { createS3ObjectStore } from '../../src/storage/s3-object-store.ts';
import { collected } from '../support/byte-streams.ts';
import { asSealed, sampleBytes, stallingAfter } from '../support/object-bodies.ts';
import { never, newKey, refusal, store } from '../support/opened-store.ts';
import { createScriptedServer } from '../support/scripted-server.ts';

/** Answers that a well-behaved S3 server does not give on request: other makes, broken proxies, servers in trouble. */
const ACCESS_KEY = 'AKIDEXAMPLEOFTHETEST';
const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const timeouts = { connectMs: 2_000, answerMs: 2_000, stallMs: 2_000 };

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

type Answer = Parameters<typeof createScriptedServer>[0];

const storeThatHears = async (
  answer: Answer,
): Promise<{ of: ObjectStore; asked: string[]; endpoint: string }> => {
  const { endpoint, asked, close } = await createScriptedServer(answer);
  const of = createS3ObjectStore({
    endpoint,
    region: 'eu-north-1',
    bucket: 'objects',
    accessKeyId: ACCESS_KEY,
    secretAccessKey: SECRET_KEY,
    forcePathStyle: true,
    timeouts,
  });
  closers.push(close, () => of.close());
  return { of, asked, endpoint };
};

const error = (response: ServerResponse, status: number, code: string, more = ''): void => {
  response.writeHead(status, { 'content-type': 'application/xml', connection: 'close' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message>${more}</Error>`);
};

describe('an upload that is answered with', () => {
  const cases: [number, string, ErrorCode][] = [
    [412, 'PreconditionFailed', 'conflict'],
    [409, 'ConditionalRequestConflict', 'conflict'],
    [507, 'InsufficientStorage', 'storage_full'],
    [403, 'QuotaExceeded', 'storage_full'],
    [403, 'AccessDenied', 'storage_unavailable'],
    [403, 'RequestTimeTooSkewed', 'storage_unavailable'],
    [404, 'NoSuchBucket', 'storage_unavailable'],
    [503, 'SlowDown', 'storage_unavailable'],
    [500, 'InternalError', 'storage_unavailable'],
  ];
  test.each(cases)('%i %s throws, and is sent once', async (status, name, code) => {
    const { of, asked } = await storeThatHears((request, response) => {
      request.resume().on('end', () => error(response, status, name));
    });
    await refusal(store(of, newKey(), sampleBytes(300_000)), code);
    expect(asked).toHaveLength(1);
  });

  test.each([403, 412])('%i before it has ended closes its body', async (status) => {
    const { of } = await storeThatHears((_request, response) => error(response, status, 'Odd'));
    const { body, closed } = stallingAfter(100_000);
    const put = of.put(newKey(), body, { bytes: 1_000_000, signal: never() });
    await refusal(put, status === 412 ? 'conflict' : 'storage_unavailable');
    await closed;
  });
});

describe('a slice that is answered with', () => {
  const whole = sampleBytes(1000);
  const send = (
    response: ServerResponse,
    status: number,
    headers: Record<string, string | number>,
    body: Buffer,
  ) => {
    response.writeHead(status, headers);
    response.end(body);
  };
  const answers: Record<string, Answer> = {
    'the whole object': (_, response) => send(response, 200, { 'content-length': 1000 }, whole),
    'the first bytes instead': (_, response) =>
      send(
        response,
        206,
        { 'content-length': 100, 'content-range': 'bytes 0-99/1000' },
        whole.subarray(0, 100),
      ),
    'fewer bytes': (_, response) =>
      send(
        response,
        206,
        { 'content-length': 50, 'content-range': 'bytes 100-149/1000' },
        whole.subarray(100, 150),
      ),
    'more bytes': (_, response) =>
      send(
        response,
        206,
        { 'content-length': 900, 'content-range': 'bytes 100-999/1000' },
        whole.subarray(100),
      ),
    'no length': (_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 100-199/1000' });
      response.end(whole.subarray(100, 200));
    },
    'no total': (_, response) =>
      send(
        response,
        206,
        { 'content-length': 100, 'content-range': 'bytes 100-199/*' },
        whole.subarray(100, 200),
      ),
    'nonsense for a range': (_, response) =>
      send(
        response,
        206,
        { 'content-length': 100, 'content-range': 'bytes 100-199/-1000' },
        whole.subarray(100, 200),
      ),
    'no sense at all': (request) => {
      request.socket.end('SSH-2.0-OpenSSH_9.2p1\r\n');
    },
  };
  test.each(Object.keys(answers))('%s throws before a byte is handed out', async (name) => {
    const { of } = await storeThatHears(answers[name]!);
    await refusal(of.get(newKey(), { start: 100, end: 200, signal: never() }), 'storage_unavailable');
  });

  test('an answer that ends before its length throws at the end', async () => {
    const { of } = await storeThatHears((request, response) => {
      response.writeHead(206, { 'content-length': 100, 'content-range': 'bytes 100-199/1000' });
      response.write(whole.subarray(100, 150), () => request.socket.end());
    });
    const { body } = await of.get(newKey(), { start: 100, end: 200, signal: never() });
    await refusal(collected(body), 'storage_unavailable');
  });
});

describe('a store', () => {
  test('without a notion of versions gets a plain DELETE', async () => {
    const key = newKey();
    const { of, asked } = await storeThatHears((request, response) => {
      if (request.method === 'DELETE') response.writeHead(204).end();
      else error(response, 501, 'NotImplemented');
    });
    await of.delete(key);
    const deletes = asked.filter((line) => line.startsWith('DELETE'));
    expect(deletes).toEqual([`DELETE /objects/${key}?x-id=DeleteObject`]);
  });

  test('that keeps what was deleted is not believed', async () => {
    const key = newKey();
    const { of } = await storeThatHears((request, response) => {
      if (request.method === 'DELETE') response.writeHead(204).end();
      else
        response
          .writeHead(200, { 'content-type': 'application/xml' })
          .end(
            `<?xml version="1.0"?><ListVersionsResult><Version><Key>${key}</Key><VersionId>v1</VersionId></Version></ListVersionsResult>`,
          );
    });
    await refusal(of.delete(key), 'storage_unavailable');
  });

  test('without the bucket has no missing objects', async () => {
    const { of } = await storeThatHears((_, response) => response.writeHead(404).end());
    await refusal(of.head(newKey()), 'storage_unavailable');
  });

  test('whose bucket may not be looked at has no missing objects either', async () => {
    const { of } = await storeThatHears((request, response) =>
      response.writeHead(request.url === '/objects/' || request.url === '/objects' ? 403 : 404).end(),
    );
    await refusal(of.head(newKey()), 'storage_unavailable');
  });

  test('that repeats keys and signatures finds no echo', async () => {
    const telling =
      `<AWSAccessKeyId>${ACCESS_KEY}</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 of ${SECRET_KEY}</StringToSign>` +
      '<SignatureProvided>abcdef0123456789</SignatureProvided>';
    const { of, endpoint } = await storeThatHears((request, response) => {
      request.resume().on('end', () => error(response, 403, `SignatureDoesNotMatch ${ACCESS_KEY}`, telling));
    });
    const calls = [
      () => store(of, newKey(), sampleBytes(10)),
      () => of.put(newKey(), asSealed(sampleBytes(10)), { signal: never() }),
      () => of.get(newKey(), { signal: never() }),
      () => of.delete(newKey()),
      () => of.sweep(new Date()),
      () => of.check(),
      () => Array.fromAsync(of.list()),
    ];
    for (const call of calls) {
      const fault = await refusal(call(), 'storage_unavailable');
      const everything = inspect(fault, { depth: 20, showHidden: true });
      for (const secret of [ACCESS_KEY, SECRET_KEY, 'abcdef0123456789', 'Signature=', new URL(endpoint).port])
        expect(everything).not.toContain(secret);
    }
  });
});
