import { Gauge, type Registry } from 'prom-client';
import type { DeliverWebhooks } from '../../services/deliver-webhooks.ts';
import type { ReadRadar } from '../../services/read-radar.ts';

/** How long one reckoning serves: whoever asks more often gets the same. */
const FRESH_MS = 60_000;

/** The value, at most a minute old; undefined when it cannot be had, which metrics show as nothing. */
const kept = <T>(ask: () => Promise<T>, now: () => number): (() => Promise<T | undefined>) => {
  let last: { readonly at: number; readonly value: Promise<T | undefined> } | null = null;
  return () => {
    if (last === null || now() - last.at >= FRESH_MS)
      last = { at: now(), value: ask().catch(() => undefined) };
    return last.value;
  };
};

/** Findings of the last day that is judged, and what waits for receivers. Labels are closed words: no source, no organisation. */
export const observeRadar = (
  registry: Registry,
  {
    readRadar,
    deliverWebhooks,
    now,
  }: {
    readonly readRadar: Pick<ReadRadar, 'lastDay'>;
    readonly deliverWebhooks: Pick<DeliverWebhooks, 'counts'>;
    readonly now: () => number;
  },
): void => {
  const gauge = (
    name: string,
    help: string,
    label: string,
    ask: () => Promise<Readonly<Record<string, number>>>,
  ): void => {
    const value = kept(ask, now);
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      async collect() {
        this.reset();
        for (const [word, count] of Object.entries((await value()) ?? {})) this.set({ [label]: word }, count);
      },
    });
  };
  gauge(
    'callvault_radar_last_day',
    'Calls and recordings of the last 24 hours that are judged already, by what was found',
    'finding',
    async () => {
      const { oneSided, ...found } = await readRadar.lastDay();
      return { ...found, one_sided: oneSided };
    },
  );
  gauge('callvault_webhook_messages', 'Messages that wait for receivers, and dead letters', 'state', () =>
    deliverWebhooks.counts(),
  );
};
