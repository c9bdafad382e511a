import { Readable } from 'node:stream';
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { AppError } from '../../core/errors.ts';
import type { EvidenceAsked } from '../../services/export-evidence.ts';
import type { Services } from '../../services/services.ts';
import { periodOf } from '../log-period.ts';
import { ExportBody, ExportQuery } from '../schemas/audit-export.ts';
import { bytes, problems } from '../schemas/common.ts';
import { userOf } from './recordings.ts';

type Options = { readonly services: Pick<Services, 'exportEvidence'> };
type Asked = Static<typeof ExportBody>;

const MEDIA_TYPE = 'application/x-ndjson; charset=utf-8';

const refused = (where: string, fault: string): AppError =>
  new AppError('invalid_request', 'The export cannot be made as asked.', { faults: [{ where, fault }] });

/** A run by place, a run by time, or what matches: the three are not mixed, for each proves something else. */
const askedOf = ({ from, to, since, until, ...about }: Asked): EvidenceAsked => {
  const place = from !== undefined || to !== undefined;
  const [match] = Object.keys(about);
  const period = periodOf({ from: since, to: until }, { from: 'since', to: 'until' });
  if (place && (since !== undefined || until !== undefined || match !== undefined))
    throw refused(from === undefined ? 'to' : 'from', 'is of a run by place, and cannot be combined');
  if (match !== undefined) return { by: 'matching', query: { ...about, ...period } };
  if (since !== undefined || until !== undefined) return { by: 'time', ...period };
  return {
    by: 'range',
    ...(from === undefined ? {} : { from: Number(from) }),
    ...(to === undefined ? {} : { to: Number(to) }),
  };
};

/** The log as a file that strangers verify. That it was taken is an entry, committed before the first byte. */
export const auditExportRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  const send = async (request: FastifyRequest, reply: FastifyReply, asked: Asked): Promise<FastifyReply> => {
    const pieces = await services.exportEvidence(userOf(request), askedOf(asked), request.id);
    return reply
      .header('cache-control', 'private, no-store')
      .header('content-disposition', 'attachment; filename="access-log.cvlog.ndjson"')
      .type(MEDIA_TYPE)
      .send(Readable.from(pieces, { objectMode: false, highWaterMark: 65_536 }));
  };
  const response = {
    200: bytes(
      'application/x-ndjson',
      'docs/audit-log.md (Exports); cut unless its last line begins with {"end":',
    ),
    ...problems(502),
  };
  const description =
    'A run of entries by place (`from`, `to`) or by time (`since`, `until`), others’ as commitments; or the entries about a recording, a person or a patient, each with a proof. `callvault verify FILE` checks it anywhere.';

  app.get(
    '/export',
    {
      config: { access: { action: 'log.export' } },
      schema: {
        tags: ['audit'],
        operationId: 'exportLog',
        summary: 'The log as a file that can be verified without the vault',
        description,
        querystring: ExportQuery,
        response,
      },
    },
    (request, reply) => send(request, reply, request.query as Asked),
  );

  app.post(
    '/export',
    {
      config: { access: { action: 'log.export' } },
      schema: {
        tags: ['audit'],
        operationId: 'exportLogAbout',
        summary: 'The same, also about a patient, whose number does not belong into an address',
        description,
        body: ExportBody,
        response,
      },
    },
    (request, reply) => send(request, reply, request.body as Asked),
  );
};
