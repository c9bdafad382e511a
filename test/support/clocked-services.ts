import { createProviderCallbacks, createProviderTokens } from '../../src/crypto/provider-tokens.ts';
import { createUploadSealing } from '../../src/crypto/upload-sealing.ts';
import { createOutboundMedia } from '../../src/http/outbound-media.ts';
import { tablesOf } from '../../src/resources/tables.ts';
import type { GivenUp } from '../../src/services/fetch-attempt.ts';
import { createServices, type ServiceDeps } from '../../src/services/services.ts';
import { openDatabase } from '../../src/storage/database.ts';
import {
  bundleKeyOf,
  bundleKeyParts,
  envelopeKeyOf,
  objectKeyOf,
  partKeyOf,
} from '../../src/storage/object-key.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import type { Identity } from './identity.ts';

type Outside = {
  readonly objects: ObjectStore;
  /** `host:port` of the provider on loopback, and who vouches for it. */
  readonly host: string;
  readonly ca: string;
};

/**
 * All services of one process, on the database, log, keys and clock of `identity`; several at once are several processes on
 * one database. What asks nothing of a provider, a receiver or the log's checkpoints is not there.
 */
export const openClockedServices = async (identity: Identity, { objects, host, ca }: Outside) => {
  const database = await openDatabase(identity.db.app);
  const { keys, keyRing, audit, lifetimes, clock } = identity;
  const { now } = clock;
  const givenUp: GivenUp[] = [];
  const copiesKept: { readonly recording: string; readonly fault: string }[] = [];
  const hosts = new Set([host]);
  const deps: Partial<ServiceDeps> = {
    ...{ audit, log: audit as unknown as ServiceDeps['log'], keyRing, objects, lifetimes, now },
    ...{ objectKeyOf, envelopeKeyOf, partKeyOf, bundleKeyOf, bundleKeyParts },
    fields: identity.fields,
    tables: tablesOf(database),
    uploadSealing: createUploadSealing({ keys }),
    providerTokens: createProviderTokens({ keys }),
    providerCallbacks: createProviderCallbacks({ keys }),
    recordingHosts: hosts,
    askProvider: createOutboundMedia({ allowed: hosts, ca, now }),
    copyKept: (one) => void copiesKept.push(one),
    fetchGivenUp: (one) => void givenUp.push(one),
    readiness: { assertRoom: async () => undefined } as unknown as ServiceDeps['readiness'],
    maxUploadBytes: 2 ** 20,
    radarGraceMs: 60_000,
  };
  const services = createServices(deps as ServiceDeps);
  return {
    services,
    givenUp,
    copiesKept,
    async close(): Promise<void> {
      await services.recordingFetches.stop();
      await services.closeIdentity();
      await database.close();
    },
  };
};

export type ClockedServices = Awaited<ReturnType<typeof openClockedServices>>;
