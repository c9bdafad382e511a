import { createHmac, type KeyObject } from 'node:crypto';
import { type OrganisationId, uuidBytes } from '../core/ids.ts';
import type { KeyCache } from './key-cache.ts';
import { labelled, labels } from './labels.ts';
import { deriveKey, withKeyBytes } from './secret.ts';

/** Whose secret, and of which random 16 bytes and version of the organisation's field key it is made. Nothing of this is secret. */
export type WebhookSecretPlace = {
  readonly organisation: OrganisationId;
  readonly webhook: string;
  readonly salt: Uint8Array;
  readonly version: number;
};

const SALT_BYTES = 16;

/**
 * Secrets by which receivers know that a message is ours (Standard Webhooks, symmetric). They are derived from the
 * organisation's key and lie nowhere: who has the database has none of them (docs/file-format.md §3).
 */
export const createWebhookSecrets = ({ keys }: { readonly keys: KeyCache }) => {
  const secretOf = async ({
    organisation,
    webhook,
    salt,
    version,
  }: WebhookSecretPlace): Promise<KeyObject> => {
    if (salt.length !== SALT_BYTES) throw new RangeError('the salt of a webhook secret has 16 bytes');
    const { key } = await keys.version({ organisation, purpose: 'field' }, version);
    return deriveKey(key, labelled(labels.webhook, uuidBytes(organisation), uuidBytes(webhook), salt));
  };
  return {
    /** The version of the organisation's key that a new secret is made of. */
    newestVersion: async (organisation: OrganisationId): Promise<number> =>
      (await keys.newest({ organisation, purpose: 'field' })).version,

    /** The secret as its receiver takes it, `whsec_` and base64: to be shown once. */
    text: async (place: WebhookSecretPlace): Promise<string> =>
      withKeyBytes(await secretOf(place), (secret) => `whsec_${secret.toString('base64')}`),

    /** `v1,` and the base64 of HMAC-SHA256 over `<message id>.<seconds>.<body>`. */
    sign: async (
      place: WebhookSecretPlace,
      message: { readonly id: string; readonly seconds: number; readonly body: string },
    ): Promise<string> => {
      const { id, seconds, body } = message;
      const secret = await secretOf(place);
      return `v1,${createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64')}`;
    },
  };
};

export type WebhookSecrets = ReturnType<typeof createWebhookSecrets>;
