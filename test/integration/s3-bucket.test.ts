import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/core/errors.ts';
import { assertS3Bucket, ensureS3Bucket } from '../../src/storage/s3-bucket.ts';
import { refusal } from '../support/opened-store.ts';
import { createScriptedServer } from '../support/scripted-server.ts';

/** A bucket that is there, is not, or cannot be asked for; the real server's side is in s3-vault.s3.test.ts. */
const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** Options for a server that answers HEAD and PUT with these; `locked` is how it answers a PUT that asks for Object Lock. */
const bucketWhere = async (head: number, put = 500, locked = put) => {
  const { endpoint, asked, close } = await createScriptedServer((request, response) => {
    request.resume().on('end', () => {
      const asksForLock = request.headers['x-amz-bucket-object-lock-enabled'] === 'true';
      const answer = asksForLock ? locked : put;
      // It says nothing at all.
      if (request.method === 'HEAD' && head === 0) return;
      response.writeHead(request.method === 'HEAD' ? head : answer, { connection: 'close' });
      response.end();
    });
  });
  closers.push(close);
  const timeouts = { connectMs: 2_000, answerMs: 2_000, stallMs: 2_000 };
  const keys = { accessKeyId: 'AKIDEXAMPLEOFTHETEST', secretAccessKey: SECRET };
  const options = { endpoint, region: 'us-east-1', bucket: 'calls', forcePathStyle: true, timeouts, ...keys };
  return { options, asked, close };
};

describe('at the start', () => {
  test('a bucket that is there is asked for once and left alone', async () => {
    const { options, asked } = await bucketWhere(200);
    await assertS3Bucket(options);
    expect(asked).toEqual(['HEAD /calls/']);
  });

  test.each([
    [404, 'config_invalid', /no bucket calls: run "callvault migrate"/],
    [301, 'config_invalid', /bucket calls lies in another region: set S3_REGION/],
    [403, 'storage_unavailable', /refuses the credentials/],
    [503, 'storage_unavailable', /cannot be used now/],
  ] as [number, ErrorCode, RegExp][])('%i stops it with a sentence', async (status, code, said) => {
    const { options } = await bucketWhere(status);
    const error = await refusal(assertS3Bucket(options), code);
    expect(error).toMatchObject({ message: expect.stringMatching(said) });
    expect(inspect(error, { depth: 10 })).not.toContain(SECRET);
  });

  test('a store that is away is no missing bucket', async () => {
    const { options, close } = await bucketWhere(200);
    await close();
    closers.length = 0;
    const { message } = await refusal(assertS3Bucket(options), 'storage_unavailable');
    const where = `${new URL(options.endpoint).host} (S3_ENDPOINT), bucket calls (S3_BUCKET)`;
    expect(message).toBe(
      `The object store cannot be used now: ${where}, ECONNREFUSED. Check that it runs there and can be reached from here.`,
    );
    const migrating = await refusal(ensureS3Bucket(options), 'storage_unavailable');
    expect(migrating.message).toBe(message);
  });

  test('each says where, why, and what to look at', async () => {
    const { options } = await bucketWhere(403);
    const where = `${new URL(options.endpoint).host} (S3_ENDPOINT), bucket calls (S3_BUCKET)`;
    const said = async (changes: object) =>
      (await refusal(assertS3Bucket({ ...options, ...changes }), 'storage_unavailable')).message;
    expect(await said({})).toBe(
      `The object store refuses the credentials or the action: ${where}, status 403. Check S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, and what they may do there.`,
    );
    expect(await said({ endpoint: options.endpoint.replace('http:', 'https:') })).toMatch(
      /^The object store cannot be used now: .*, (EPROTO|ERR_SSL_\w+)\. Check/,
    );
    const { options: silent } = await bucketWhere(0);
    expect(await said({ endpoint: silent.endpoint })).toMatch(
      /^The object store did not answer in time: .*, (TimeoutError|ETIMEDOUT)\. Check that it runs/,
    );
  });
});

describe('migrating', () => {
  test('makes a bucket that is not there', async () => {
    const { options, asked } = await bucketWhere(404, 200);
    expect(await ensureS3Bucket(options)).toBe(true);
    expect(asked).toEqual(['HEAD /calls/', 'PUT /calls/']);
  });

  test('with Object Lock, or without it where the server has none', async () => {
    const { options, asked } = await bucketWhere(404, 200, 501);
    expect(await ensureS3Bucket(options)).toBe(true);
    expect(asked.filter((one) => one.startsWith('PUT')).length).toBeGreaterThan(1);
    const strict = await bucketWhere(404, 403, 200);
    expect(await ensureS3Bucket(strict.options)).toBe(true);
  });

  test('leaves one that is there as it is', async () => {
    const { options, asked } = await bucketWhere(200, 200);
    expect(await ensureS3Bucket(options)).toBe(false);
    expect(asked).toEqual(['HEAD /calls/']);
  });

  test.each([
    [403, 'storage_unavailable'],
    [301, 'config_invalid'],
    [503, 'storage_unavailable'],
  ] as [number, ErrorCode][])('makes none when it cannot know (%i)', async (status, code) => {
    const { options, asked } = await bucketWhere(status, 200);
    await refusal(ensureS3Bucket(options), code);
    expect(asked.filter((one) => one.startsWith('PUT'))).toEqual([]);
  });

  test('says so when it may not make one', async () => {
    const { options } = await bucketWhere(404, 403);
    const { message } = await refusal(ensureS3Bucket(options), 'storage_unavailable');
    expect(message).toMatch(/no bucket calls, and these credentials may not make it/);
  });
});
