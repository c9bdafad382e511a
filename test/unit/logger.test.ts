import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { createLogger } from '../../src/logger.ts';

const logged = (write: (logger: ReturnType<typeof createLogger>) => void): Record<string, unknown> => {
  let text = '';
  const sink = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  write(createLogger('trace', sink));
  return JSON.parse(text) as Record<string, unknown>;
};

const SECRET = '0701740605';

test('what a library logs of a request is left out', () => {
  const line = logged((logger) =>
    logger.trace({ busboyOptions: { headers: { authorization: SECRET } }, headers: SECRET }, 'said'),
  );
  expect(line).toEqual({ level: 10, time: expect.any(String), msg: 'said' });
});

test('a request is its pattern, never its address', () => {
  const req = {
    id: '1',
    method: 'GET',
    url: `/${SECRET}`,
    routeOptions: { url: '/:id' },
    headers: { x: SECRET },
  };
  const line = logged((logger) =>
    logger.info({ req, res: { statusCode: 200, headers: { x: SECRET } } }, 'answered'),
  );
  expect(line).toMatchObject({ req: { id: '1', method: 'GET', route: '/:id' }, res: { statusCode: 200 } });
  expect(JSON.stringify(line)).not.toContain(SECRET);
});

test('a foreign error is its code and its places: what it says may repeat a value', () => {
  const foreign = Object.assign(new Error(`bad ${SECRET}\n    at ${SECRET} (/${SECRET}.js:1:1)`), {
    code: '22P02',
  });
  const line = logged((logger) =>
    logger.error({ err: new AppError('internal', 'ours', { cause: foreign }) }, 'failed'),
  );
  expect(line).toMatchObject({
    err: { name: 'AppError', code: 'internal', message: 'ours', cause: { name: 'Error', code: '22P02' } },
  });
  expect(JSON.stringify(line)).not.toContain(SECRET);
  const { at } = (line.err as { cause: { at: string[] } }).cause;
  expect(at[0]).toContain('logger.test.ts');
});

test('an error whose message was changed afterwards, or is empty, shows no more', () => {
  const changed = new Error(`first ${SECRET}`);
  changed.message = 'second';
  for (const err of [changed, new Error(''), Object.assign(new Error(SECRET), { stack: undefined })])
    expect(JSON.stringify(logged((logger) => logger.error({ err }, 'failed')))).not.toContain(SECRET);
});

test('what is thrown without being an error is its type', () => {
  expect(logged((logger) => logger.error({ err: SECRET }, 'failed'))).toMatchObject({
    err: { name: 'string' },
  });
});
