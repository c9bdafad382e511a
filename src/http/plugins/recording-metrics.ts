import { Counter, type Registry } from 'prom-client';
import type { Services } from '../../services/services.ts';

/** What was odd about the recordings that this process stored; labels hold a flag and nothing else. */
export const observeRecordings = (
  registry: Registry,
  { storedFlags }: Pick<Services, 'storedFlags'>,
): void => {
  new Counter({
    name: 'callvault_recordings_flagged_total',
    help: 'Recordings stored with this flag, such as no_care_unit: nobody can hear it',
    labelNames: ['flag'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [flag, count] of storedFlags()) this.inc({ flag }, count);
    },
  });
};
