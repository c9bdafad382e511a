import { type TSchema, Type } from 'typebox';
import { CallMetadataSchema } from '../../core/metadata-schema.ts';
import { PART_MEDIA_TYPE, TUS_VERSION } from '../tus-headers.ts';

/** Headers of tus 1.0, for /openapi.json. The routes read them by their own rules, so nothing here validates. */
const Version = Type.Literal(TUS_VERSION);
const Bytes = (description: string) => Type.String({ pattern: '^[0-9]{1,15}$', description });

export const TusHeaders = Type.Object({ 'Tus-Resumable': Version });

export const BeginHeaders = Type.Object({
  'Tus-Resumable': Version,
  'Upload-Length': Bytes('of the recording'),
  'Upload-Metadata': Type.String({
    description: `pairs of a name and its value in base64 (UTF-8), with commas between; callId is required. Names: ${Object.keys(CallMetadataSchema.properties).join(', ')}; filename (the original name) and filetype (the media type)`,
  }),
});

export const AppendHeaders = Type.Object({
  'Tus-Resumable': Version,
  'Upload-Offset': Bytes('where these bytes begin: what HEAD says'),
  'Upload-Checksum': Type.Optional(
    Type.String({ pattern: '^sha256 [A-Za-z0-9+/]{43}=$', description: 'of the body; in base64' }),
  ),
});

export const PartBody = {
  content: {
    [PART_MEDIA_TYPE]: { schema: Type.String({ format: 'binary', description: 'the next bytes' }) },
  },
};

const headers = {
  'Upload-Offset': Bytes('durable so far'),
  'Upload-Expires': Type.String({ description: 'when it is removed unless it goes on (RFC 9110 date)' }),
  'Callvault-Recording': Type.String({
    description: 'id of the recording, once it is one; GET /v1/recordings/{id}/status tells about it',
  }),
};

export const Progress = { type: 'null', description: 'Where the upload is', headers } as unknown as TSchema;

export const Discovered = {
  type: 'null',
  description: 'Version, extensions and limits',
  headers: {
    'Tus-Version': Version,
    'Tus-Extension': Type.String(),
    'Tus-Max-Size': Bytes('of a recording'),
    'Tus-Checksum-Algorithm': Type.String(),
  },
} as unknown as TSchema;
