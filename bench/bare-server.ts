import { generateKeyPairSync } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createSigner, createVerifier } from 'fast-jwt';
import Fastify from 'fastify';

/**
 * The baseline: a bare Fastify that serves and takes plain files from the folder in argv[2]. Range, the same kind of token
 * check as the vault's (Ed25519, cached), fsync on upload; no encryption, no log, no database.
 */
const folder = process.argv[2] ?? '.';
const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
  privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
  publicKeyEncoding: { format: 'pem', type: 'spki' },
});
const app = Fastify({ bodyLimit: 1e9 });
const verify = createVerifier({ key: publicKey, algorithms: ['EdDSA'], cache: true });
app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
app.addHook('onRequest', async (request) => {
  verify((request.headers.authorization ?? '').slice('Bearer '.length));
});

app.get('/:name', async (request, reply) => {
  const path = join(folder, (request.params as { name: string }).name);
  const { size } = await stat(path);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  reply.type('audio/wav').header('accept-ranges', 'bytes');
  if (range === null) return reply.header('content-length', size).send(createReadStream(path));
  const start = Number(range[1]);
  const end = Math.min(range[2] === '' ? size - 1 : Number(range[2]), size - 1);
  return reply
    .code(206)
    .header('content-range', `bytes ${start}-${end}/${size}`)
    .header('content-length', end - start + 1)
    .send(createReadStream(path, { start, end }));
});

let uploads = 0;
app.put('/upload', async (request, reply) => {
  uploads += 1;
  const path = join(folder, `upload-${process.pid}-${uploads}`);
  await pipeline(request.body as NodeJS.ReadableStream, createWriteStream(path, { flush: true }));
  const handle = await open(folder, 'r');
  await handle.sync();
  await handle.close();
  return reply.code(201).send({ stored: true });
});

await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
const port = typeof address === 'object' && address !== null ? address.port : 0;
process.stdout.write(
  `${JSON.stringify({ port, token: createSigner({ key: privateKey, algorithm: 'EdDSA', expiresIn: '1h' })({ sub: 'bench' }) })}\n`,
);
