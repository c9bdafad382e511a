import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newBearerSecret } from '../../src/crypto/bearer-secrets.ts';
import {
  type Identity,
  LIFETIMES,
  newOrganisation,
  startIdentity,
  type TestOrganisation,
} from '../support/identity.ts';

let identity: Identity;
let home: TestOrganisation;

beforeAll(async () => {
  identity = await startIdentity();
  home = await newOrganisation(identity);
});
afterAll(() => identity.close());

const token = (clientId: string, clientSecret: string) =>
  identity.services.issueSourceToken({ clientId, clientSecret, address: '192.0.2.1', request: randomUUID() });
const useSession = (sessionId: string) => identity.services.authenticate({ kind: 'session', sessionId });
const useKey = (value: string) => identity.services.authenticate({ kind: 'api_key', value });
const refused = { code: 'unauthenticated' };

describe('client credentials', () => {
  test('open a session as short as its token, with its entry', async () => {
    const { source, clientSecret } = await home.newSource();
    const session = await token(source.clientId, clientSecret);
    expect(session.subject).toBe(source.id);
    expect(await useSession(session.id)).toEqual({
      type: 'source',
      id: source.id,
      role: 'source',
      organisation: home.id,
      session: session.id,
    });
    expect((await identity.entries('session.opened')).at(-1)).toMatchObject({
      actor: { type: 'source', id: source.id },
      organisation: home.id,
      session: session.id,
      detail: { method: 'client_credentials' },
    });
    identity.clock.advance(identity.lifetimes.sourceMs + 1);
    await expect(useSession(session.id)).rejects.toMatchObject(refused);
  });

  test('of another source, of another kind, or invented, open nothing and leave one entry', async () => {
    const [one, other] = [await home.newSource(), await home.newSource()];
    const before = (await identity.entries('session.refused')).length;
    const attempts: [string, string][] = [
      [one.source.clientId, other.clientSecret],
      [one.source.clientId, one.apiKey],
      [one.source.clientId, newBearerSecret('secret').text],
      [one.source.clientId, ''],
      [one.source.clientId, 'x'.repeat(100_000)],
    ];
    for (const [id, secret] of attempts) await expect(token(id, secret)).rejects.toMatchObject(refused);
    expect((await identity.entries('session.refused')).slice(before)).toMatchObject([
      { detail: { count: 1, reason: 'client_credentials' } },
    ]);
    for (const id of ['', 'nobody', randomUUID(), '\u0000', 'x'.repeat(100_000)])
      await expect(token(id, one.clientSecret)).rejects.toMatchObject(refused);
  });

  test('with the log away there is no session', async () => {
    const { source, clientSecret } = await home.newSource();
    await identity.stopLog();
    try {
      await expect(token(source.clientId, clientSecret)).rejects.toMatchObject({ code: 'log_unavailable' });
    } finally {
      await identity.resumeLog();
    }
    const { rowCount } = await identity.superuser.query('SELECT 1 FROM session WHERE source_id = $1', [
      source.id,
    ]);
    expect(rowCount).toBe(0);
    await expect.poll(() => identity.audit.state()).toBe('ready');
  });
});

describe('an API key', () => {
  test('stands for its source, without a session', async () => {
    const { source, apiKey } = await home.newSource();
    expect(await useKey(apiKey)).toEqual({
      type: 'source',
      id: source.id,
      role: 'source',
      organisation: home.id,
      session: null,
    });
  });

  test('is kept nowhere, and neither is the client secret', async () => {
    const { apiKey, clientSecret } = await home.newSource();
    const { rows } = await identity.superuser.query(
      'SELECT s.*, p.payload FROM source s LEFT JOIN pending_change p ON true',
    );
    const stored = JSON.stringify(rows);
    expect(stored).not.toContain(apiKey);
    expect(stored).not.toContain(clientSecret);
  });

  test.each(['', 'cv_key_', 'cv_key_x', newBearerSecret('key').text, newBearerSecret('secret').text])(
    'nothing else does',
    async (value) => {
      await expect(useKey(value)).rejects.toMatchObject(refused);
    },
  );
});

describe('what is taken away is gone at the next request', () => {
  test('replaced secrets: key, secret and tokens made from them', async () => {
    const { source, apiKey, clientSecret } = await home.newSource();
    const session = await token(source.clientId, clientSecret);
    const renewed = await identity.services.sources.replaceSecrets(home.caller(), source.id);
    await expect(useKey(apiKey)).rejects.toMatchObject(refused);
    await expect(token(source.clientId, clientSecret)).rejects.toMatchObject(refused);
    await expect(useSession(session.id)).rejects.toMatchObject(refused);
    expect(await useKey(renewed.apiKey)).toMatchObject({ id: source.id });
    expect(await token(source.clientId, renewed.clientSecret)).toMatchObject({ subject: source.id });
  });

  test('a disabled source: key, secret and tokens; enabled again, only the tokens stay dead', async () => {
    const { source, apiKey, clientSecret } = await home.newSource();
    const session = await token(source.clientId, clientSecret);
    await identity.services.sources.setDisabled(home.caller(), source.id, true);
    await expect(useKey(apiKey)).rejects.toMatchObject(refused);
    await expect(token(source.clientId, clientSecret)).rejects.toMatchObject(refused);
    await expect(useSession(session.id)).rejects.toMatchObject(refused);
    await identity.services.sources.setDisabled(home.caller(), source.id, false);
    expect(await useKey(apiKey)).toMatchObject({ id: source.id });
    await expect(useSession(session.id)).rejects.toMatchObject(refused);
  });

  test('a secret replaced while it was being checked opens no session', async () => {
    const { source } = await home.newSource();
    const opened = await identity.tables.sessions.openForSource({
      id: randomUUID(),
      sourceId: source.id,
      clientSecretHash: Buffer.alloc(32),
      at: new Date(),
      expiresAt: new Date(Date.now() + 60_000),
    });
    expect(opened).toBe(false);
  });
});

describe.each([30, 3600])('a token of %i seconds', (seconds) => {
  test('is a session of as many', async () => {
    const other = await startIdentity({ ...LIFETIMES, sourceMs: seconds * 1000 });
    try {
      const { source, clientSecret } = await (await newOrganisation(other)).newSource();
      const { id } = await other.services.issueSourceToken({
        clientId: source.clientId,
        clientSecret,
        address: '192.0.2.1',
        request: randomUUID(),
      });
      const use = () => other.services.authenticate({ kind: 'session', sessionId: id });
      other.clock.advance(seconds * 1000 - 20_000);
      expect(await use()).toMatchObject({ id: source.id });
      other.clock.advance(20_001);
      await expect(use()).rejects.toMatchObject(refused);
    } finally {
      await other.close();
    }
  });
});
