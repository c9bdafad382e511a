import type { KeyObject } from 'node:crypto';
import { createSealingClient, type EdgeKey } from './sealing-client.ts';
import { createVaultClient, type VaultClient, type VaultClientOptions } from './vault-client.ts';

export type OpenVaultOptions = VaultClientOptions & {
  /** With it everything is sealed and signed before it leaves; the vault takes nothing else from such a source. */
  readonly signingKey?: KeyObject;
  /** What it is sealed to; there is one where there is a signing key. */
  readonly edgeKey?: EdgeKey;
};

/** The client that an agent delivers by, sealing or not. */
export const openVault = ({ signingKey, edgeKey, ...options }: OpenVaultOptions): VaultClient => {
  const client = createVaultClient(options);
  return signingKey === undefined || edgeKey === undefined
    ? client
    : { ...client, ...createSealingClient(client, signingKey, edgeKey) };
};
