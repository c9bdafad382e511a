import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createAuditReader } from '../../src/audit/reader.ts';
import type { UserActor } from '../../src/core/access.ts';
import type { OrganisationId } from '../../src/core/ids.ts';
import { createFieldEncryption } from '../../src/crypto/field-encryption.ts';
import { createLogQuestion } from '../../src/services/log-question.ts';
import { subjectKey } from '../../src/services/recording-facts.ts';
import { freshEvent } from '../support/audit-events.ts';
import { createTestWriters } from '../support/audit-writers.ts';
import { startTestDatabase } from '../support/postgres.ts';
import { createVaultKeys } from '../support/vault-keys.ts';

const CALLER = '+46701740605';

const actorOf = (organisation: OrganisationId | null, role: UserActor['role'] = 'compliance'): UserActor => ({
  type: 'user',
  id: randomUUID() as UserActor['id'],
  role,
  organisation,
  units: [],
  session: randomUUID() as UserActor['session'],
});

test('a number finds the entries of every version of the index key, and of its own organisation’s keys only', async () => {
  const vault = await createVaultKeys();
  const fields = createFieldEncryption({ keys: vault.keys, now: vault.clock.now });
  const question = createLogQuestion({ fields, now: vault.clock.now });
  const stranger = randomUUID() as OrganisationId;
  await vault.ring.createOrganisationKeys(stranger);
  const database = await startTestDatabase();
  const writers = createTestWriters(database);
  const reader = createAuditReader({ postgres: database.app, log: { info() {}, warn() {}, error() {} } });
  try {
    const writer = writers.open();
    const events: string[] = [];
    for (const at of [1000, 2000, 3000]) {
      const subject = await subjectKey(fields, vault.organisation, CALLER);
      const event = freshEvent({ organisation: vault.organisation, subject, at });
      await writer.append(event);
      events.unshift(event.id);
      await vault.ring.rotate(vault.organisation, 'index');
      vault.clock.advance(60_000);
    }
    // The same number in another organisation has another key, and its entry is not ours.
    const subject = await subjectKey(fields, stranger, CALLER);
    await writer.append(freshEvent({ organisation: stranger, subject }));

    const ids = async (organisation: OrganisationId, callerNumber: string): Promise<string[]> => {
      const query = await question(actorOf(organisation), { callerNumber });
      expect(JSON.stringify(query)).not.toContain('46701740605');
      return (await reader.search(query)).entries.map(({ event }) => event.id);
    };
    // Written in any way.
    for (const number of ['070-174 06 05', CALLER, '<sip:+46701740605@example.org>'])
      expect(await ids(vault.organisation, number)).toEqual(events);
    expect(await ids(vault.organisation, '070-174 06 06')).toEqual([]);
    expect(await ids(stranger, CALLER)).toHaveLength(1);
    const query = await question(actorOf(vault.organisation), { callerNumber: CALLER });
    expect(query.subjects).toHaveLength(4);
    expect(new Set(query.subjects).size).toBe(4);
  } finally {
    await reader.close();
    await writers.close();
    await database.close();
  }
});

test('a number that is none, or beside another way to name a patient, is refused without being repeated', async () => {
  const vault = await createVaultKeys();
  const fields = createFieldEncryption({ keys: vault.keys, now: vault.clock.now });
  const question = createLogQuestion({ fields, now: vault.clock.now });
  const officer = actorOf(vault.organisation);
  for (const [asked, where] of [
    [{ callerNumber: '112' }, 'callerNumber'],
    [{ callerNumber: 'hemligt nummer' }, 'callerNumber'],
    [{ callerNumber: `0${'7'.repeat(60)}` }, 'callerNumber'],
    [{ personalNumber: '19121212-1213' }, 'personalNumber'],
    [{ personalNumber: '191212121212', callerNumber: CALLER }, 'personalNumber'],
    [{ subject: `1:${'0'.repeat(32)}`, callerNumber: CALLER }, 'callerNumber'],
  ] as const) {
    const error = await question(officer, asked).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'invalid_request', extras: { faults: [{ where }] } });
    expect(JSON.stringify(error)).not.toMatch(/\d{5}|hemligt/);
  }
  expect((await question(officer, { personalNumber: '19121212-1212' })).subjects).toHaveLength(1);
  // The auditor of the installation sees no patient's entry, and there is no key of hers.
  const auditor = actorOf(null, 'installation_auditor');
  await expect(question(auditor, { callerNumber: CALLER })).rejects.toMatchObject({
    code: 'invalid_request',
  });
});
