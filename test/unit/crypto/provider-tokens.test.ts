import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { OrganisationId } from '../../../src/core/ids.ts';
import { createProviderCallbacks, createProviderTokens } from '../../../src/crypto/provider-tokens.ts';
import { createVaultKeys } from '../../support/vault-keys.ts';

const TOKEN = '0123456789abcdef0123456789abcdef';

test('a token opens for its source alone, also under an older key, and never when it was changed', async () => {
  const { keys, organisation } = await createVaultKeys();
  const tokens = createProviderTokens({ keys });
  const place = { organisation, source: randomUUID() };
  const sealed = await tokens.seal(place, TOKEN);
  expect(sealed.includes(TOKEN)).toBe(false);
  expect(sealed.equals(await tokens.seal(place, TOKEN))).toBe(false);
  await keys.rotate({ organisation, purpose: 'field' });
  expect(await tokens.open(place, sealed)).toBe(TOKEN);

  const elsewhere = { ...place, source: randomUUID() };
  await expect(tokens.open(elsewhere, sealed)).rejects.toMatchObject({ code: 'integrity_failure' });
  const foreign = { ...place, organisation: randomUUID() as OrganisationId };
  await expect(tokens.open(foreign, sealed)).rejects.toMatchObject({ code: 'wrong_key' });
  for (let at = 4; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await expect(tokens.open(place, changed)).rejects.toMatchObject({ code: 'integrity_failure' });
  }
  for (const length of [0, 3, 4, 31])
    await expect(tokens.open(place, sealed.subarray(0, length))).rejects.toMatchObject({
      code: 'integrity_failure',
    });
});

test('what a callback said opens as no token, and a token not as what a callback said', async () => {
  const { keys, organisation } = await createVaultKeys();
  const [tokens, callbacks] = [createProviderTokens({ keys }), createProviderCallbacks({ keys })];
  const place = { organisation, source: randomUUID() };
  const said = await callbacks.seal(place, TOKEN);
  expect(await callbacks.open(place, said)).toBe(TOKEN);
  await expect(tokens.open(place, said)).rejects.toMatchObject({ code: 'integrity_failure' });
  const token = await tokens.seal(place, TOKEN);
  await expect(callbacks.open(place, token)).rejects.toMatchObject({ code: 'integrity_failure' });
});
