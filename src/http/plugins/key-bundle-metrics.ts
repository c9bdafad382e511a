import { Gauge, type Registry } from 'prom-client';

/** Adds when the newest bundle of wrapped keys was made; `newest` (milliseconds since 1970) is asked when somebody reads. */
export const observeKeyBundles = (registry: Registry, newest: () => Promise<number | null>): void => {
  new Gauge({
    name: 'callvault_key_bundle_timestamp_seconds',
    help: 'When the newest bundle of wrapped keys was made; absent while there is none, or the store cannot be asked',
    registers: [registry],
    async collect() {
      const at = await newest().catch(() => null);
      if (at === null) this.remove();
      else this.set(at / 1000);
    },
  });
};
