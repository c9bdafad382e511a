import type { OrganisationId } from '../core/ids.ts';
import { afterAttempt } from '../core/webhook-pauses.ts';
import type { WebhookSecrets } from '../crypto/webhook-secrets.ts';
import type { DueMessage, WebhookMessageTable } from '../storage/webhook-message-table.ts';
import { createPause } from './pause.ts';

/** As http/outbound-post.ts has it: a status, or a closed word why there is none. Never rejects. */
export type PostMessage = (
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<{ readonly status: number } | { readonly fault: string }>;

export type DeliverWebhooksDeps = {
  readonly messages: Pick<
    WebhookMessageTable,
    'claim' | 'delivered' | 'failed' | 'release' | 'forget' | 'counts'
  >;
  readonly secrets: Pick<WebhookSecrets, 'sign'>;
  readonly post: PostMessage;
  /** From 0 up to 1: pauses differ a little, so that receivers are not asked in step. */
  readonly random: () => number;
  readonly now: () => number;
};

/** Receivers that are talked to at once; each has one connection at a time. */
const MAX_RECEIVERS = 8;
/** Messages that one receiver is told in a row before others have their turn. */
const EACH = 5;
/** Longer than so many can take, whatever the receiver does; then another process may take them over. */
const LEASE_MS = 75_000;
const LOOK_MS = 1_000;
/** For how long messages that were given up can be sent again. */
const DEAD_KEPT_MS = 30 * 86_400_000;

const signedHeaders = async (
  { secrets, now }: Pick<DeliverWebhooksDeps, 'secrets' | 'now'>,
  message: DueMessage,
  body: string,
): Promise<Readonly<Record<string, string>>> => {
  const { id, webhook, secretSalt: salt, secretVersion: version } = message;
  const seconds = Math.floor(now() / 1000);
  const place = { organisation: message.organisation as OrganisationId, webhook, salt, version };
  return {
    'content-type': 'application/json',
    'user-agent': 'callvault',
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': await secrets.sign(place, { id, seconds, body }),
  };
};

/** Tells one receiver what it is to be told, one after the other. */
const createTellReceiver = (deps: DeliverWebhooksDeps) => {
  const { messages, now } = deps;

  const failed = async (message: DueMessage, result: Awaited<ReturnType<PostMessage>>): Promise<void> => {
    const at = now();
    const { next, resume } = afterAttempt({
      attempts: message.attempts,
      failures: message.failures + 1,
      ageMs: at - message.createdAt.getTime(),
      gone: 'status' in result && result.status === 410,
      random: deps.random(),
    });
    await messages.failed(message, {
      next: next === null ? null : new Date(at + next),
      resume: new Date(at + resume),
      fault: 'status' in result ? `status_${result.status}` : result.fault,
    });
  };

  /** Whether the receiver may be told the next one. */
  const tell = async (message: DueMessage, signal: AbortSignal): Promise<boolean> => {
    const body = JSON.stringify(message.payload);
    const result = await deps.post(message.url, body, await signedHeaders(deps, message, body), signal);
    if ('status' in result && result.status >= 200 && result.status < 300) {
      await messages.delivered(message.id, message.webhook);
      return true;
    }
    // Our own end is no fault of the receiver.
    if (signal.aborted) await messages.release([message.id], new Date(now()));
    else await failed(message, result);
    return false;
  };

  return async (batch: readonly DueMessage[], signal: AbortSignal): Promise<void> => {
    const waiting = [...batch];
    try {
      for (const message of batch) {
        waiting.shift();
        if (!(await tell(message, signal))) break;
      }
    } finally {
      const ids = waiting.map(({ id }) => id);
      if (ids.length > 0) await messages.release(ids, new Date(now()));
    }
  };
};

/**
 * Tells receivers what waits for them. What waits is in the database, written with the fact itself; a message is removed
 * when its receiver has answered 2xx, so a crash tells it twice rather than not at all (`webhook-id` stays the same). Nothing
 * here is waited for by an upload.
 */
export const createDeliverWebhooks = (deps: DeliverWebhooksDeps) => {
  const { messages, now } = deps;
  const tellReceiver = createTellReceiver(deps);
  const busy = new Map<string, Promise<void>>();
  const pause = createPause();

  /** Takes up what is due now, without waiting for any receiver. */
  const look = async (signal: AbortSignal): Promise<void> => {
    const receivers = MAX_RECEIVERS - busy.size;
    if (receivers <= 0) return;
    const at = now();
    const until = new Date(at + LEASE_MS);
    const asked = { at: new Date(at), until, each: EACH, busy: [...busy.keys()], receivers };
    const claimed = await messages.claim(asked);
    for (const [webhook, batch] of Map.groupBy(claimed, (message) => message.webhook)) {
      const work = tellReceiver(batch, signal)
        // The database or the keys are away: what is leased is tried again when its lease is over.
        .catch(() => undefined)
        .finally(() => {
          busy.delete(webhook);
          // More may wait for it than was taken.
          if (batch.length === EACH) pause.wake();
        });
      busy.set(webhook, work);
    }
  };

  const run = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await look(signal).catch(() => undefined);
      if (!signal.aborted) await pause.take(LOOK_MS);
    }
    await Promise.all(busy.values());
  };

  return {
    /** Goes on until the returned function is called, which resolves when nothing is under way any more. */
    start(): () => Promise<void> {
      const stop = new AbortController();
      const running = run(stop.signal);
      return async () => {
        stop.abort();
        pause.wake();
        await running;
      };
    },

    /** Removes what was given up long ago; from the sweeper. */
    async forget(): Promise<void> {
      while ((await messages.forget(new Date(now() - DEAD_KEPT_MS))) > 0);
    },

    counts: () => messages.counts(),
  };
};

export type DeliverWebhooks = ReturnType<typeof createDeliverWebhooks>;
