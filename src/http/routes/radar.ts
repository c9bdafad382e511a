import type { FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { Services } from '../../services/services.ts';
import { listQueryOf } from '../admin-request.ts';
import { callerOf, forbidStoring } from '../caller.ts';
import { FindingsPage, FindingsQuery, RadarQuery, RadarSchema } from '../schemas/calls.ts';
import { problems } from '../schemas/common.ts';

type Options = { readonly services: Pick<Services, 'readRadar'> };

const config = { access: { action: 'radar.read' } } as const;
const tags = ['admin'];

/** Calls against recordings, for the administrator: counts by source and day, and which they are, by id. */
export const radarRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  forbidStoring(app);
  app.get(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'readRadar',
        summary:
          'Calls without recording, recordings without call, short and one-sided ones: counts by source and day',
        querystring: RadarQuery,
        response: { 200: RadarSchema, ...problems() },
      },
    },
    async (request) => {
      const asked = request.query as Static<typeof RadarQuery>;
      return { days: [...(await services.readRadar.days(callerOf(request), asked))] };
    },
  );
  app.get(
    '/findings',
    {
      config,
      schema: {
        tags,
        operationId: 'listRadarFindings',
        summary: 'Which calls or recordings of one source and day, oldest first',
        querystring: FindingsQuery,
        response: { 200: FindingsPage, ...problems() },
      },
    },
    async (request) => {
      const { source, day, finding } = request.query as Static<typeof FindingsQuery>;
      const asked = { source, day, finding, ...listQueryOf(request) };
      const { items, next } = await services.readRadar.find(callerOf(request), asked);
      return { items: items.map(({ id, startedAt }) => ({ id, startedAt: startedAt.toISOString() })), next };
    },
  );
};
