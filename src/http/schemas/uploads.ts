import { type TSchema, Type } from 'typebox';
import { headerFields } from '../../core/ingest-headers.ts';
import { CallMetadataSchema } from '../../core/metadata-schema.ts';
import { MAX_MANIFEST_BYTES } from '../../core/sealed-layout.ts';
import { MAX_XML_BYTES } from '../../core/xml-document.ts';
import { rawMediaTypes } from '../upload-head.ts';

/**
 * What uploads are made of, for /openapi.json. The routes read bodies as streams and headers by their own rules
 * (core/metadata.ts, core/ingest-headers.ts), so nothing here validates; the fields come from the schema those rules use.
 */
const Binary = (description: string) => Type.String({ format: 'binary', description });
const AUDIO = 'the recording, bit for bit as it is to be kept';

const ContentDigest = Type.String({
  maxLength: 1024,
  pattern: 'sha-256=:[A-Za-z0-9+/]{43}=:',
  description:
    'SHA-256 of the audio, sha-256=:base64: (RFC 9530); audio that does not match is refused and not stored, and so is audio with a digest that cannot be checked (another algorithm, Digest, Content-MD5)',
});

const Form = {
  content: {
    'multipart/form-data': {
      schema: Type.Object(
        {
          metadata: Type.Optional(CallMetadataSchema),
          siprec: Type.Optional(
            Type.String({
              contentMediaType: 'application/rs-metadata+xml',
              maxLength: MAX_XML_BYTES,
              description:
                'recording metadata of SIPREC (RFC 7865), beside metadata or instead of it; what metadata says holds, and it need not name the call. In UTF-8, without a document type. docs/telephony.md says what is read',
            }),
          ),
          sha256: Type.Optional(
            Type.String({ pattern: '^[0-9a-fA-F]{64}$', description: 'SHA-256 of the audio, in hex' }),
          ),
          audio: Binary(AUDIO),
        },
        {
          additionalProperties: false,
          description:
            'Parts in this order: metadata or siprec or both, sha256 if any, audio. Instead of the part sha256 the part audio may have a header Content-Digest (RFC 9530).',
        },
      ),
    },
  },
};

const Raw = {
  content: Object.fromEntries(rawMediaTypes.map((type) => [type, { schema: Binary(AUDIO) }])),
};

/** Fields that are no plain text, as a header writes them. */
const asText: Readonly<Record<string, string>> = {
  channels: 'parties in order of channels, such as caller, agent',
  pauses: 'spans in milliseconds from the start of the recording, such as 1000-2500, 9000-12000',
};

const nameOf = (header: string): string => header.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

const schemaOf = (field: string): TSchema => {
  if (field === 'callId')
    return {
      ...CallMetadataSchema.properties.callId,
      description: 'the id of the call; without it the name in the address is',
    };
  const description = asText[field];
  return description === undefined
    ? CallMetadataSchema.properties[field as keyof typeof CallMetadataSchema.properties]
    : Type.String({ description });
};

const Headers = Type.Object(
  Object.fromEntries([
    ...[...headerFields].map(([header, field]) => [nameOf(header), Type.Optional(schemaOf(field))]),
    ['Content-Digest', Type.Optional(ContentDigest)],
    ['Repr-Digest', Type.Optional(ContentDigest)],
  ]),
);

const Sealed = {
  content: {
    'multipart/form-data': {
      schema: Type.Object(
        {
          manifest: Type.String({
            maxLength: MAX_MANIFEST_BYTES,
            description: 'compact JWS (EdDSA) by the signing key of the source',
          }),
          object: Binary('the sealed object: header, then ciphertext and tag of each segment'),
        },
        { additionalProperties: false, description: 'Parts in this order: manifest, object.' },
      ),
    },
  },
};

const Rtpengine = {
  content: {
    'multipart/form-data': {
      schema: Type.Object({ ngfile: Binary(AUDIO) }, { additionalProperties: false }),
    },
  },
};

const text = (description: string) => Type.Optional(Type.String({ description }));
const RtpengineHeaders = Type.Object({
  'X-Recording-Call-ID': Type.String({ description: 'the id of the call' }),
  'X-Recording-File-Name': Type.String({ description: 'of the file; kept sealed' }),
  'X-Recording-Kind': text('mixed or single'),
  'X-Recording-Call-Start-Time': text('seconds since 1970'),
  'X-Recording-Stream-Start-Time': text('seconds since 1970; before that of the call'),
  'X-Recording-Stream-End-Time': text('seconds since 1970'),
  'X-Recording-Call-Metadata': text(
    'field:value|field:value, of callerNumber, calledNumber, direction, agentId, queue, careUnit, personalNumber; others are passed over',
  ),
  'X-Recording-Tag-Metadata': text('the same of one party; before that of the call'),
});

export const RtpengineUpload = { body: Rtpengine, headers: RtpengineHeaders };
export const SealedUpload = { body: Sealed };
export const FormUpload = { body: Form };
export const RawUpload = { body: Raw, headers: Headers };
