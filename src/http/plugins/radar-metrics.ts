import { Gauge, type Registry } from 'prom-client';
import type { DeliverWebhooks } from '../../services/deliver-webhooks.ts';
import type { RadarTotals, ReadRadar } from '../../services/read-radar.ts';
import type { RecordingFetches } from '../../services/recording-fetches.ts';

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

const wordsOf = ({ oneSided, noSound, ...others }: RadarTotals): Readonly<Record<string, number>> => ({
  ...others,
  one_sided: oneSided,
  no_sound: noSound,
});

/**
 * Findings of the last day that is judged, what waits for receivers, and what for providers. Labels are closed words, and ids of
 * sources, which are systems: no organisation, nobody's call.
 */
export const observeRadar = (
  registry: Registry,
  {
    readRadar,
    deliverWebhooks,
    recordingFetches,
    now,
  }: {
    readonly readRadar: Pick<ReadRadar, 'lastDay'>;
    readonly deliverWebhooks: Pick<DeliverWebhooks, 'counts'>;
    readonly recordingFetches: Pick<RecordingFetches, 'counts'>;
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
  const lastDay = kept(() => readRadar.lastDay(), now);
  gauge(
    'callvault_radar_last_day',
    'Calls and recordings of the last 24 hours that are judged already, by what was found',
    'finding',
    async () => {
      const found = await lastDay();
      return found === undefined ? {} : wordsOf(found.whole);
    },
  );
  new Gauge({
    name: 'callvault_radar_source_last_day',
    help: 'The same by source: 200 at most, those with most to find',
    labelNames: ['source', 'finding'],
    registers: [registry],
    async collect() {
      this.reset();
      for (const [source, totals] of (await lastDay())?.sources ?? [])
        for (const [finding, count] of Object.entries(wordsOf(totals))) this.set({ source, finding }, count);
    },
  });
  gauge('callvault_webhook_messages', 'Messages that wait for receivers, and dead letters', 'state', () =>
    deliverWebhooks.counts(),
  );
  gauge(
    'callvault_recording_fetches',
    'Recordings that providers named and that are asked for again, and those of the last week that are asked for no longer',
    'state',
    () => recordingFetches.counts(),
  );
};
