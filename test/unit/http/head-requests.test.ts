import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { leaveFilesUnread } from '../../../src/http/head-requests.ts';

test('a file that is asked for with HEAD is not read, and what held it is let go', async () => {
  const app = Fastify({ exposeHeadRoutes: true });
  leaveFilesUnread(app);
  let pieces = 0;
  const files: Readable[] = [];
  app.get('/file', async (_request, reply) => {
    const file = Readable.from(
      (async function* () {
        for (; pieces < 1000; pieces += 1) yield Buffer.alloc(1000);
      })(),
    );
    files.push(file);
    return reply.type('text/csv').header('x-entry-count', '1000').send(file);
  });
  const head = await app.inject({ method: 'HEAD', url: '/file' });
  expect([head.statusCode, head.body]).toEqual([200, '']);
  expect(head.headers).toMatchObject({ 'content-type': 'text/csv', 'x-entry-count': '1000' });
  expect(head.headers['content-length']).toBeUndefined();
  await sleep(50);
  expect(pieces).toBe(0);
  expect(files.map(({ destroyed }) => destroyed)).toEqual([true]);
  expect((await app.inject('/file')).rawPayload).toHaveLength(1_000_000);
  await app.close();
});
