import { Gauge, type Registry } from 'prom-client';

/** How far checkpoints of the access log have come: entries under the newest of each. */
export type CheckpointFigures = {
  readonly size: number;
  readonly kept: number;
  /** Seconds since 1970; null before the first. */
  readonly keptAt: number | null;
  readonly places: readonly { readonly where: string; readonly size: number }[];
  readonly witnesses: readonly { readonly name: string; readonly size: number }[];
};

/** Adds what is known of checkpoints; `figures` is asked when somebody reads the metrics. */
export const observeCheckpoints = (registry: Registry, figures: () => Promise<CheckpointFigures>): void => {
  const time = new Gauge({
    name: 'callvault_checkpoint_time_seconds',
    help: 'When the newest checkpoint of the access log was kept, in seconds since 1970',
    registers: [registry],
  });
  const entries = new Gauge({
    name: 'callvault_log_entries',
    help: 'Entries of the access log, and those under the newest checkpoint, its copies and cosignatures',
    labelNames: ['under'],
    registers: [registry],
    async collect() {
      // Without the database there is nothing to say, and `callvault_ready` says that.
      const known = await figures().catch(() => null);
      entries.reset();
      if (known === null) return;
      entries.set({ under: 'log' }, known.size);
      entries.set({ under: 'checkpoint' }, known.kept);
      for (const { where, size } of known.places) entries.set({ under: where }, size);
      for (const { name, size } of known.witnesses) entries.set({ under: `witness ${name}` }, size);
      if (known.keptAt !== null) time.set(known.keptAt);
    },
  });
};
