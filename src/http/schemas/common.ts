import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox';

/** An object that names every field it knows; anything else is a 400 (no silent dropping). */
export const Closed = <P extends TProperties>(properties: P): TObject<P> =>
  Type.Object(properties, { additionalProperties: false });

export const UUID_PATTERN = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
export const Uuid = Type.String({ pattern: UUID_PATTERN, maxLength: 36 });
export const Instant = Type.String({
  format: 'date-time',
  maxLength: 40,
  description: 'RFC 3339, UTC or with offset',
});
export const Nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

export const IdParams = Closed({ id: Uuid });
export const Cursor = Type.String({
  maxLength: 200,
  pattern: '^[A-Za-z0-9_-]+$',
  description: 'opaque, from `next`',
});

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ maxLength: 200 }),
    title: Type.String({ maxLength: 200 }),
    status: Type.Integer(),
    detail: Type.String({ maxLength: 2000 }),
    code: Type.String({ maxLength: 60 }),
    requestId: Type.String({ maxLength: 64 }),
    faults: Type.Optional(
      Type.Array(Closed({ where: Type.String({ maxLength: 200 }), fault: Type.String({ maxLength: 400 }) })),
    ),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details' },
);
export type ProblemBody = Static<typeof ProblemSchema>;

const sentence: Record<number, string> = {
  400: 'The request is not as documented; `faults` says where',
  401: 'No valid credential',
  403: 'Not permitted to this role, or a cross-site request',
  404: 'Not there, or not for this actor',
  406: 'No format that is accepted can be given',
  409: 'In conflict with what is stored',
  410: 'Erased; a tombstone says when',
  412: 'Not what If-Match names',
  413: 'Too large',
  415: 'Content type not accepted',
  416: 'Range outside the recording',
  423: 'Another request works on this upload; see Retry-After',
  460: 'The bytes do not have their checksum; none was kept',
  422: 'Refused by policy (executable or archive); of an upload in parts also: other content than what is stored of the call',
  429: 'Too many requests; see Retry-After',
  502: 'What is stored failed its integrity check: a recording, or an entry of the access log; or a provider did not hand its recording over',
  503: 'Log, database, object store or keys unavailable; nothing was released',
  507: 'No room for more recordings',
};

/** An answer that is bytes and no JSON. */
export const bytes = (mediaType: string, description: string): TSchema =>
  ({
    description,
    content: { [mediaType]: { schema: Type.String({ format: 'binary' }) } },
  }) as unknown as TSchema;

/** Problem responses for a route: those every guarded route can give, and the extra ones named. */
export const problems = (...statuses: number[]): Record<number, TSchema> =>
  Object.fromEntries(
    [...new Set([400, 401, 403, 429, 503, ...statuses])].map((status) => [
      status,
      {
        description: sentence[status] ?? 'Problem',
        content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
      } as unknown as TSchema,
    ]),
  );
