import type { KeyObject } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Delivery } from './delivery.ts';
import { type OpenVaultOptions, openVault } from './open-vault.ts';
import type { VaultClient } from './vault-client.ts';

export type WatchClientOptions = {
  /** What the agent was told, read anew. */
  readonly read: () => Promise<OpenVaultOptions>;
  readonly open?: (options: OpenVaultOptions) => Pick<VaultClient, 'upload' | 'close'>;
};

/** The vault does not know a key, or does not let it do what it is for: what mending the key mends. */
const isOfTheKey = (delivery: Delivery): boolean =>
  delivery.outcome === 'later' &&
  ['unauthenticated', 'forbidden', 'edge_key_refused', 'http_401', 'http_403'].includes(delivery.code);

const isSameKey = (a: KeyObject | undefined, b: KeyObject | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b);

const isSame = (a: OpenVaultOptions, b: OpenVaultOptions): boolean =>
  a.apiKey === b.apiKey &&
  a.url === b.url &&
  a.ca === b.ca &&
  isSameKey(a.signingKey, b.signingKey) &&
  isDeepStrictEqual(a.edgeKey, b.edgeKey);

/**
 * Delivers for as long as an agent runs: when the vault does not take its key, what the agent was told is read anew, and with
 * another key the same delivery is tried at once. A key file that is being written, or is gone, changes nothing.
 */
export const createWatchClient = (
  first: OpenVaultOptions,
  { read, open = openVault }: WatchClientOptions,
): Pick<VaultClient, 'upload' | 'close'> => {
  let settings = first;
  let client = open(settings);
  /** Others may still send by them. */
  const former: (typeof client)[] = [];

  /** Whether there is another client by now than the one that was used. */
  const renew = async (used: typeof client): Promise<boolean> => {
    const next = await read().catch(() => null);
    if (client !== used) return true;
    if (next === null || isSame(settings, next)) return false;
    former.push(client);
    settings = next;
    client = open(settings);
    return true;
  };

  return {
    async upload(upload) {
      const used = client;
      const delivery = await used.upload(upload);
      if (!isOfTheKey(delivery) || !(await renew(used))) return delivery;
      return client.upload(upload);
    },
    close(): void {
      for (const one of [...former, client]) one.close();
    },
  };
};
