import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { OrganisationId } from '../../src/core/ids.ts';
import { createFileKeyProvider } from '../../src/keys/file-key-provider.ts';
import type { KeyContext, KeyProvider } from '../../src/keys/key-provider.ts';
import { createRootKey } from '../../src/keys/root-key-file.ts';
import { temporaryFolder } from '../support/key-material.ts';

/** What every key provider promises. Add a line for each: how to open one with a root key of its own. */
const providers: readonly (readonly [string, () => Promise<KeyProvider>])[] = [
  [
    'key file',
    async () => {
      const path = join(await temporaryFolder(), 'root.key');
      await createRootKey(path);
      return createFileKeyProvider({ path });
    },
  ],
];

const newContext = (): KeyContext => ({
  organisation: randomUUID() as OrganisationId,
  purpose: 'kek',
  version: 1,
});

describe.each(providers)('%s', (_name, openProvider) => {
  const secret = Buffer.alloc(32, 0x5a);

  test('unwraps what it wrapped, and never wraps the same twice', async () => {
    const provider = await openProvider();
    const context = newContext();
    const [a, b] = [await provider.wrap(context, secret), await provider.wrap(context, secret)];
    expect(a.equals(b)).toBe(false);
    expect(await provider.unwrap(context, a)).toEqual(secret);
    expect(await provider.unwrap(context, b)).toEqual(secret);
  });

  test('the secret is not in the blob', async () => {
    const blob = await (await openProvider()).wrap(newContext(), secret);
    expect(blob.includes(secret.subarray(0, 8))).toBe(false);
  });

  test.each([
    ['organisation', { organisation: randomUUID() as OrganisationId }],
    ['purpose', { purpose: 'field' }],
    ['version', { version: 2 }],
  ] as const)('a blob moved to another %s is damage', async (_part, change) => {
    const provider = await openProvider();
    const context = newContext();
    const blob = await provider.wrap(context, secret);
    await expect(provider.unwrap({ ...context, ...change }, blob)).rejects.toMatchObject({
      code: 'integrity_failure',
    });
  });

  test('a blob of another root key is told apart from a damaged one', async () => {
    const [provider, other] = [await openProvider(), await openProvider()];
    expect(provider.keyId).not.toBe(other.keyId);
    const context = newContext();
    const blob = await provider.wrap(context, secret);
    await expect(other.unwrap(context, blob)).rejects.toMatchObject({ code: 'wrong_key' });
    const damaged = Buffer.from(blob);
    damaged[damaged.length - 1] = damaged.at(-1)! ^ 1;
    await expect(provider.unwrap(context, damaged)).rejects.toMatchObject({ code: 'integrity_failure' });
  });

  test.each([0, 1, 8, 9, 20, 36])('a blob cut to %i bytes is damage', async (length) => {
    const provider = await openProvider();
    const context = newContext();
    const blob = await provider.wrap(context, secret);
    await expect(provider.unwrap(context, blob.subarray(0, length))).rejects.toMatchObject({
      code: 'integrity_failure',
    });
  });
});
