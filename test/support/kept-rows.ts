import { randomBytes, randomUUID } from 'node:crypto';
import type { ActorContext, UserActor } from '../../src/core/access.ts';
import { createAssignEffect, createAssignRecording } from '../../src/services/assign-recording.ts';
import { createAuditedChanges } from '../../src/services/audited-change.ts';
import { createAuthority } from '../../src/services/authority.ts';
import { createEraseEffect, createEraseRecording } from '../../src/services/erase-recording.ts';
import { createHoldEffects, createHoldRecording } from '../../src/services/hold-recording.ts';
import { createRecordDenial } from '../../src/services/record-denial.ts';
import { createAssignmentTable } from '../../src/storage/assignment-table.ts';
import { createHoldTable } from '../../src/storage/hold-table.ts';
import { envelopeKeyOf, objectKeyOf } from '../../src/storage/object-key.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { createRecordingTable } from '../../src/storage/recording-table.ts';
import { createUnitTable } from '../../src/storage/unit-table.ts';
import { openFileStore } from './file-store.ts';
import { type Identity, newOrganisation } from './identity.ts';
import { sampleBytes } from './object-bodies.ts';
import { store } from './opened-store.ts';

const INSERT = `INSERT INTO recording (id, organisation_id, unit_id, source_id, status, intent_id, generation, started_at, touched_at,
    announcement, legal_basis, retention_class, call_id_index, plain_bytes, sealed_bytes, sealed_sha256, header, key_commitment,
    wrap_provider, wrap_key_id, wrap_version, wrapped_key, media_type, digest_mac, facts_sealed, stored_at, stored_seq)
  SELECT $1, $2, $3, $4, $5, $6, $7, now(), $8, 'v1', 'public_task', 'quality', $9, 100, 156, sha256('x'),
    decode(repeat('28', 40), 'hex'), sha256('k'), 'keyring', 'a', 1, '\\x00', 'audio/wav', sha256('d'), '\\x00',
    CASE WHEN $5 = 'stored' THEN now() END, CASE WHEN $5 = 'stored' THEN 1 END`;

type Changing = {
  readonly identity: Identity;
  readonly objects: ObjectStore;
  readonly admin: ActorContext;
  readonly compliance: ActorContext;
};

/** What erases and holds, on the database and log of `identity`. */
const changing = ({ identity, objects, admin, compliance }: Changing) => {
  const { audit, keyRing, clock, pending } = identity;
  const { now } = clock;
  const recordings = createRecordingTable(identity);
  const holds = createHoldTable(identity.prisma);
  const assignments = createAssignmentTable(identity.prisma);
  const units = createUnitTable(identity.prisma);
  const forget = () => undefined;
  const removal = { objects, objectKeyOf, envelopeKeyOf };
  const effects = {
    ...createHoldEffects({ holds }),
    'recording.assign': createAssignEffect({ assignments }),
    'recording.erase': createEraseEffect({ ...removal, recordings, keyRing, forget, now }),
  };
  const changes = createAuditedChanges({ pending, audit, log: audit, effects, now });
  /** Happens between the look at a recording and what follows from it. */
  const between = { look: async (): Promise<unknown> => undefined };
  const looked = {
    find: async (id: string) => {
      const row = await recordings.find(id);
      await between.look();
      return row;
    },
  };
  const recordDenial = createRecordDenial({ audit, recordings, now });
  const shared = { recordings: looked, changes, audit, recordDenial, now, newId: randomUUID };
  const erasing = createEraseRecording(shared);
  const holding = createHoldRecording({ ...shared, holds });
  const authority = createAuthority({ recordDenial });
  const assigning = createAssignRecording({ ...shared, assignments, units, authority });
  const asked = (actor: ActorContext, recordingId: string) => ({
    actor: actor as UserActor,
    recordingId,
    request: randomUUID(),
  });
  return {
    recordings,
    effects,
    changes,
    between,
    erase: (id: string) => erasing({ ...asked(admin, id), decisionReference: null, reason: 'retention' }),
    hold: (id: string) => holding.place({ ...asked(compliance, id), reason: 'complaint' }),
    assign: (id: string, unit: string) => assigning.assign({ ...asked(admin, id), unit }),
    unassigned: (query: { limit?: number; cursor?: string }) =>
      assigning.list({ actor: admin, request: randomUUID(), route: 'list' }, query),
    release: (id: string, holdId: string) => holding.release({ ...asked(compliance, id), holdId }),
  };
};

/** Recordings as rows and objects, and what erases and holds them. */
export const openKeptRows = async (identity: Identity) => {
  const { superuser, clock } = identity;
  const { now } = clock;
  const objects = await openFileStore();
  const home = await newOrganisation(identity);
  const unit = await home.newUnit();
  const { source } = await home.newSource();
  const compliance = await (await home.newUser('compliance')).signIn();
  const actors = { admin: home.admin.actor, compliance: compliance.actor };

  const add = async (
    status: 'stored' | 'sealed' | 'intent' = 'stored',
    touchedAt = new Date(now()),
    unitId: string | null = unit.id,
  ) => {
    const [id, generation, intentId] = [randomUUID(), randomUUID(), randomUUID()];
    await superuser.query(INSERT, [
      ...[id, home.id, unitId, source.id, status, intentId, generation, touchedAt],
      randomBytes(16),
    ]);
    await store(objects.store, objectKeyOf(home.id, generation), sampleBytes(156));
    await store(objects.store, envelopeKeyOf(home.id, generation), sampleBytes(50));
    return { id, generation, intentId, organisation: home.id };
  };

  const state = async ({ id, generation }: { id: string; generation: string }) => {
    const text = `SELECT status, unit_id AS unit, hold_count AS holds, wrapped_key IS NOT NULL AS key FROM recording WHERE id = $1`;
    const { rows } = await superuser.query<{
      status: string;
      unit: string | null;
      holds: number;
      key: boolean;
    }>(text, [id]);
    const held = `SELECT 1 FROM hold WHERE recording_id = $1 AND released_at IS NULL`;
    return {
      ...rows[0],
      open: (await superuser.query(held, [id])).rowCount,
      object: (await objects.store.head(objectKeyOf(home.id, generation))) !== null,
      copy: (await objects.store.head(envelopeKeyOf(home.id, generation))) !== null,
    };
  };

  return {
    ...changing({ identity, objects: objects.store, ...actors }),
    home,
    unit,
    compliance,
    objects,
    add,
    state,
    /** Actions of the entries about a recording, in their order. */
    told: async (id: string) =>
      (await identity.entries()).filter(({ recording }) => recording === id).map(({ action }) => action),
    pendingLeft: async () => (await superuser.query('SELECT 1 FROM pending_change')).rowCount,
    close: () => objects.close(),
  };
};

export type KeptRows = Awaited<ReturnType<typeof openKeptRows>>;
