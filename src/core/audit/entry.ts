import { AppError } from '../errors.ts';
import {
  type Actor,
  type AuditAction,
  type AuditEvent,
  eventScope,
  outcomes,
  purposes,
  roles,
} from '../events.ts';
import { detailFields } from './detail.ts';
import { count, type Field, FieldFault, label, nullable, oneOf, record, text, uuid } from './field.ts';

/** Version of the body's form; a reader refuses what it does not know. */
const BODY_VERSION = 1;

/** No event within the bounds of its fields reaches this; a body read back that exceeds it is not ours. */
export const MAX_BODY_BYTES = 65_536;

const actor: Field<Actor> = record<Actor>({
  type: oneOf('user', 'source', 'operator', 'system', 'anonymous'),
  id: nullable(label),
  role: nullable(oneOf(...roles)),
});

const action: Field<AuditAction> = oneOf(...(Object.keys(eventScope) as AuditAction[]));

/** The common fields in the order they are written; `detail` follows and depends on the action. */
const common = {
  id: uuid,
  at: count,
  action,
  outcome: oneOf(...outcomes),
  actor,
  organisation: nullable(uuid),
  unit: nullable(uuid),
  recording: nullable(uuid),
  subject: nullable(label),
  purpose: nullable(oneOf(...purposes)),
  session: nullable(uuid),
  request: nullable(text(64)),
};
const commonFields = record<{ [K in keyof typeof common]: ReturnType<(typeof common)[K]> }>(common);

const checked = (value: unknown): AuditEvent => {
  const base = commonFields(value, 'event');
  const detail = detailFields[base.action]((value as { detail?: unknown }).detail, 'event.detail');
  return { ...base, detail } as AuditEvent;
};

const written = (event: AuditEvent): string => JSON.stringify({ v: BODY_VERSION, ...event });

export type EncodedEvent = {
  /** What the body says: a copy, mended, that nobody else can change. Receipts are made from this one. */
  readonly event: AuditEvent;
  /** Canonical JSON: fixed order of keys, no white space, well-formed, no control character. */
  readonly body: string;
};

/**
 * The body of an event. Two equal events have equal bodies; free text is mended rather than refused. Throws `internal`,
 * naming the field, for an event no caller of ours may build (an id that is not a UUID, a list beyond its bound).
 */
export const encodeEvent = (event: AuditEvent): EncodedEvent => {
  try {
    const copy = checked(event);
    return { event: copy, body: written(copy) };
  } catch (cause) {
    if (!(cause instanceof FieldFault)) throw cause;
    throw new AppError('internal', `The event cannot be written to the log: ${cause.message}.`, { cause });
  }
};

const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    // The parser's message quotes what it read.
    throw new FieldFault('body', 'JSON');
  }
};

/**
 * The event of a body that was read back. Attacker-controlled: whoever can write to the database chose it. Accepts only
 * what {@link encodeEvent} writes, byte for byte; throws `integrity_failure` naming the fault otherwise.
 */
export const decodeBody = (body: string): AuditEvent => {
  try {
    if (body.length > MAX_BODY_BYTES) throw new FieldFault('body', `at most ${MAX_BODY_BYTES} bytes`);
    const value = parsed(body);
    if ((value as { v?: unknown } | null)?.v !== BODY_VERSION)
      throw new FieldFault('body', 'of a known version');
    const event = checked(value);
    if (written(event) !== body) throw new FieldFault('body', 'in canonical form');
    return event;
  } catch (cause) {
    if (!(cause instanceof FieldFault)) throw cause;
    throw new AppError('integrity_failure', `The entry is not one of the log's: ${cause.message}.`, {
      cause,
    });
  }
};
