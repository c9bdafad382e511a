import type { FastifyError } from 'fastify';
import { AppError, type ErrorCode, isAppError } from '../core/errors.ts';
import { showableName } from '../core/number-like.ts';
import { UUID_PATTERN } from './schemas/common.ts';

/**
 * What the framework refuses before a route sees it, in our own words. Its messages never pass, for they hold addresses,
 * bodies and values.
 */
const sentences: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: [
    'invalid_request',
    'The body is not JSON, or has a name in it that is never accepted (__proto__, constructor).',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid_request', 'The body is empty: send JSON, {} at least.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    'invalid_request',
    'The body does not have the length that Content-Length says.',
  ],
  FST_ERR_CTP_BODY_TOO_LARGE: ['too_large', 'The body is larger than is accepted here.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported_media_type',
    'This content type is not accepted here; /openapi.json says which one is.',
  ],
  FST_ERR_BAD_URL: ['invalid_request', 'The address is not a well-formed one.'],
  FST_ERR_MAX_PARAM_LENGTH: ['invalid_request', 'A part of the address is longer than 128 characters.'],
};

const byStatus: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  401: ['unauthenticated', 'Sign in first.'],
  403: ['forbidden', 'This is not permitted.'],
  404: ['not_found', 'There is nothing at this address.'],
  405: ['method_not_allowed', 'This method is not known at this address.'],
  408: ['request_timeout', 'The request took too long to arrive.'],
  413: ['too_large', 'The request is larger than is accepted here.'],
  415: ['unsupported_media_type', 'This content type is not accepted here.'],
  429: ['rate_limited', 'Too many requests. Wait and try again.'],
  503: ['database_unavailable', 'The vault cannot do this right now.'],
};

type Validation = NonNullable<FastifyError['validation']>[number];

const MAX_FAULTS = 20;
const MAX_FAULT = 400;

/** Rules and their words come from our own schemas; of what was sent only the name of a field, where that can be shown. */
const faultOf = ({ keyword, params }: Validation): string => {
  if (keyword === 'additionalProperties') {
    const shown = showableName(String(params.additionalProperty));
    return `is unknown: ${shown ?? 'its name is not repeated here'}`;
  }
  if (keyword === 'required') return `lacks the field ${String(params.missingProperty)}`;
  if (keyword === 'enum' && Array.isArray(params.allowedValues))
    return `must be one of ${params.allowedValues.join(', ')}`.slice(0, MAX_FAULT);
  if (keyword === 'pattern' && params.pattern === UUID_PATTERN) return 'must be a UUID in lower case';
  if (keyword === 'format' && params.format === 'date-time')
    return 'must be a time with offset as in RFC 3339, such as 2026-03-01T08:15:30+01:00';
  return plainWords(keyword, params as Record<string, unknown>);
};

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object with the documented fields',
  null: 'null',
};

/** What a rule of a schema asks for, in words that need no schema. */
const plainWords = (keyword: string, { type, limit }: Record<string, unknown>): string => {
  switch (keyword) {
    case 'type':
      return `must be ${[type]
        .flat()
        .map((one) => kinds[String(one)])
        .join(' or ')}`;
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`;
    case 'maxLength':
      return `must have at most ${limit} characters`;
    case 'minimum':
      return `must be ${limit} or more`;
    case 'maximum':
      return `must be ${limit} or less`;
    case 'minItems':
      return `must have at least ${limit} entries`;
    case 'maxItems':
      return `must have at most ${limit} entries`;
    case 'uniqueItems':
      return 'must not name the same twice';
    default:
      return 'does not have the documented form';
  }
};

/** Of a field that breaks several rules, the first: of names that lack or are too many, all. */
const firstOfEach = (validations: readonly Validation[]): Validation[] => {
  const seen = new Set<string>();
  return validations.filter(({ keyword, instancePath }) => {
    if (keyword === 'required' || keyword === 'additionalProperties') return true;
    const isFirst = !seen.has(instancePath);
    seen.add(instancePath);
    return isFirst;
  });
};

const validationFaults = (error: FastifyError): { where: string; fault: string }[] =>
  firstOfEach(error.validation ?? [])
    .slice(0, MAX_FAULTS)
    .map((validation) => ({
      where: `${error.validationContext ?? 'body'}${validation.instancePath}`.slice(0, 120),
      fault: faultOf(validation),
    }));

/** Any error becomes an AppError that says nothing of what was sent, nor of the inside of the vault. */
export const asAppError = (error: unknown): AppError => {
  if (isAppError(error)) return error;
  const foreign = (error ?? {}) as Partial<FastifyError>;
  if (foreign.validation !== undefined)
    return new AppError('invalid_request', 'The request does not have the documented form.', {
      faults: validationFaults(foreign as FastifyError),
      cause: error,
    });
  const { code = '', statusCode = 500 } = foreign;
  const refused: readonly [ErrorCode, string] =
    statusCode >= 400 && statusCode < 500
      ? ['invalid_request', 'The request could not be understood.']
      : ['internal', 'The request failed.'];
  const [meaning, sentence] = sentences[code] ?? byStatus[statusCode] ?? refused;
  return new AppError(meaning, sentence, { cause: error });
};
