import type { KeyObject } from 'node:crypto';
import { createSealingClient } from './sealing-client.ts';
import { createVaultClient, type VaultClient, type VaultClientOptions } from './vault-client.ts';

export type OpenVaultOptions = VaultClientOptions & {
  /** With it everything is sealed and signed before it leaves; the vault takes nothing else from such a source. */
  readonly signingKey?: KeyObject;
};

/** The client that an agent delivers by, sealing or not. */
export const openVault = ({ signingKey, ...options }: OpenVaultOptions): VaultClient => {
  const client = createVaultClient(options);
  return signingKey === undefined ? client : { ...client, ...createSealingClient(client, signingKey) };
};
