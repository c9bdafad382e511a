import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bearerSecretHash } from '../../src/crypto/bearer-secrets.ts';
import { createSessionCheck } from '../../src/storage/session-check.ts';
import { type Identity, newOrganisation, startIdentity, type TestOrganisation } from '../support/identity.ts';

let identity: Identity;
let home: TestOrganisation;

beforeAll(async () => {
  identity = await startIdentity();
});
afterAll(() => identity.close());

/** A nurse and a source of an organisation of their own, each with a session, and every way to present it. */
const scene = async () => {
  home = await newOrganisation(identity);
  const unit = await home.newUnit();
  const nurse = await home.newUser('nurse', [unit.id]);
  const { session, cookie } = await nurse.signIn();
  const { source, apiKey, clientSecret } = await home.newSource();
  const address = '192.0.2.1';
  const asked = { clientId: source.clientId, clientSecret, address, request: randomUUID() };
  const sourceSession = await identity.services.issueSourceToken(asked);
  const { sessionCheck } = identity.tables;
  const person = async () => [
    await sessionCheck.bySession(session.id, new Date()),
    await sessionCheck.byCookie(bearerSecretHash(cookie, 'refresh')!, new Date()),
  ];
  const system = async () => [
    await sessionCheck.bySession(sourceSession.id, new Date()),
    await sessionCheck.byApiKey(bearerSecretHash(apiKey, 'key')!),
  ];
  const set = (table: string, id: string, what: string) =>
    identity.superuser.query(`UPDATE ${table} SET ${what} WHERE id = $1`, [id]);
  return { unit, nurse, source, session, sourceSession, person, system, set };
};
const nobody = [null, null];

describe('the row alone decides, whoever changed it', () => {
  test('as long as nothing is wrong, person and system are who they are', async () => {
    const { nurse, unit, source, person, system } = await scene();
    for (const actor of await person())
      expect(actor).toMatchObject({ id: nurse.id, role: 'nurse', organisation: home.id, units: [unit.id] });
    for (const actor of await system()) expect(actor).toMatchObject({ id: source.id, role: 'source' });
  });

  test('a disabled user', async () => {
    const { nurse, person, system, set } = await scene();
    await set('app_user', nurse.id, 'disabled_at = now()');
    expect(await person()).toEqual(nobody);
    expect(await system()).not.toContain(null);
  });

  test('a disabled source', async () => {
    const { source, person, system, set } = await scene();
    await set('source', source.id, 'disabled_at = now()');
    expect(await system()).toEqual(nobody);
    expect(await person()).not.toContain(null);
  });

  test('a disabled organisation', async () => {
    const { person, system, set } = await scene();
    await set('organisation', home.id, 'disabled_at = now()');
    expect(await person()).toEqual(nobody);
    expect(await system()).toEqual(nobody);
  });

  test('an ended and an expired session', async () => {
    const { session, sourceSession, person, system, set } = await scene();
    await set('session', session.id, "ended_at = now(), end_reason = 'logout'");
    await set('session', sourceSession.id, "expires_at = now() - interval '1 ms'");
    expect(await person()).toEqual(nobody);
    expect((await system())[0]).toBeNull();
  });

  test('a unit that has come to belong to somebody else gives nothing', async () => {
    const { unit, person, set } = await scene();
    const other = await newOrganisation(identity);
    await set('care_unit', unit.id, `organisation_id = '${other.id}'`);
    for (const actor of await person()) expect(actor).toMatchObject({ units: [] });
  });
});

test('is asked as a statement the server has prepared once per connection', async () => {
  const { session } = await scene();
  const client = await identity.pool.connect();
  try {
    for (let i = 0; i < 3; i += 1) await createSessionCheck(client).bySession(session.id, new Date());
    const { rows } = await client.query(
      "SELECT generic_plans + custom_plans AS runs FROM pg_prepared_statements WHERE name = 'session-by-id'",
    );
    expect(rows).toHaveLength(1);
    expect(Number(rows[0].runs)).toBeGreaterThanOrEqual(3);
  } finally {
    client.release();
  }
});
