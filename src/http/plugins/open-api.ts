import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { ProblemSchema } from '../schemas/common.ts';

/** OpenAPI 3.1 from the routes' own schemas, served at /openapi.json and committed (scripts/openapi.ts). */
export const openApi = fp(
  async (app: FastifyInstance) => {
    app.addSchema(ProblemSchema);
    await app.register(swagger, {
      hideUntagged: false,
      refResolver: { buildLocalReference: ({ $id }, _base, _fragment, n) => String($id ?? `schema-${n}`) },
      transform: ({ schema, url, route }) => ({ schema: { ...schema, ...route.config?.described }, url }),
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Callvault',
          version: '1',
          description:
            'A vault for recorded telephone calls of healthcare lines. Errors are RFC 9457 problems whose `code` is stable. Search is POST, so that no number stands in a URL. What answers GET answers HEAD alike, without the body, and is logged alike; WebSockets (/v1/ingest/jambonz) do not.',
        },
        components: {
          securitySchemes: {
            bearer: {
              type: 'http',
              scheme: 'bearer',
              description: 'access token of a user or source, or the fixed API key of a source',
            },
            session: {
              type: 'apiKey',
              in: 'cookie',
              name: '__Host-cv',
              description: 'web session: media GET and HEAD, refresh, logout',
            },
          },
        },
        tags: [
          { name: 'auth', description: 'Signing in' },
          { name: 'recordings', description: 'Uploading, finding, erasing' },
          { name: 'playback', description: 'Hearing' },
          { name: 'audit', description: 'The access log' },
          { name: 'admin', description: 'Users, units, sources, organisations, policies' },
          { name: 'service', description: 'Health' },
        ],
      },
    });
    app.get(
      '/openapi.json',
      {
        config: { access: 'public' },
        schema: {
          tags: ['service'],
          operationId: 'openapi',
          response: { 200: { type: 'object', additionalProperties: true } },
        },
      },
      async () => app.swagger(),
    );
  },
  { name: 'open-api', dependencies: ['access'] },
);
