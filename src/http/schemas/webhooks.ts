import { Type } from 'typebox';
import { Closed, Cursor, Instant, Nullable, Uuid } from './common.ts';

export const webhookEvents = ['recording.stored', 'recording.flagged', 'recording.missing'] as const;

const Url = Type.String({
  maxLength: 2000,
  description: 'https alone, and no private network unless the operator permits it (WEBHOOK_HOSTS)',
});
const Events = Type.Array(Type.Enum([...webhookEvents]), { minItems: 1, maxItems: 10, uniqueItems: true });

export const WebhookSchema = Closed({
  id: Uuid,
  url: Url,
  events: Type.Array(Type.String()),
  createdAt: Instant,
  disabledAt: Nullable(Instant),
});
export const WebhookPage = Closed({ items: Type.Array(WebhookSchema), next: Nullable(Cursor) });
export const NewWebhookBody = Closed({ url: Url, events: Events });
export const WebhookChangeBody = Closed({ url: Type.Optional(Url), events: Type.Optional(Events) });
export const WebhookWithSecretSchema = Closed({
  webhook: WebhookSchema,
  secret: Type.String({
    maxLength: 100,
    description:
      'shown this once, kept nowhere: whsec_ and base64 of 32 bytes, with which each message is signed (Standard Webhooks: HMAC-SHA256 over webhook-id, webhook-timestamp and body)',
  }),
});

export const DeadLetterPage = Closed({
  items: Type.Array(
    Closed({
      id: { ...Uuid, description: 'the webhook-id under which it was sent' },
      type: Type.String(),
      data: Type.Object({}, { additionalProperties: true, description: 'ids, times, flags' }),
      createdAt: Instant,
      attempts: Type.Integer(),
      fault: Nullable(
        Type.String({ description: 'status_500, timeout, connection, tls, unresolved, refused_address' }),
      ),
    }),
  ),
  next: Nullable(Cursor),
});
export const RedeliverBody = Closed({
  message: Type.Optional({ ...Uuid, description: 'one of the dead letters; all of them if absent' }),
});
