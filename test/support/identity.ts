import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuditWriter } from '../../src/audit/writer.ts';
import type { AuditAction, AuditEvent, AuditEventOf } from '../../src/core/events.ts';
import { createFieldEncryption } from '../../src/crypto/field-encryption.ts';
import { createJwtKeys } from '../../src/crypto/jwt-keys.ts';
import { createKeyCache } from '../../src/crypto/key-cache.ts';
import { createKeyRing } from '../../src/crypto/key-ring.ts';
import { INSTALLATION } from '../../src/crypto/key-store.ts';
import { createPasswords, type Passwords } from '../../src/crypto/passwords.ts';
import { openKeyFolder } from '../../src/keys/key-folder.ts';
import { createAuditedChanges } from '../../src/services/audited-change.ts';
import type { IdentityChanges } from '../../src/services/identity-changes.ts';
import { createIdentityEffects } from '../../src/services/identity-effects.ts';
import { createIdentityServices } from '../../src/services/identity-services.ts';
import type { SessionLifetimes } from '../../src/services/session-limits.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { createOrganisationTable } from '../../src/storage/organisation-table.ts';
import { createPendingChangeTable } from '../../src/storage/pending-change-table.ts';
import { createSessionCheck } from '../../src/storage/session-check.ts';
import { createSessionTable } from '../../src/storage/session-table.ts';
import { createSourceTable } from '../../src/storage/source-table.ts';
import { createUnitTable } from '../../src/storage/unit-table.ts';
import { createUserTable } from '../../src/storage/user-table.ts';
import { startTestDatabase } from './postgres.ts';

const APPEND = 'FUNCTION audit.append(text, bigint, bytea[], text[])';
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** The real hash function, with every call counted: equal counts are what equal time is made of. */
const counted = (passwords: Passwords) => {
  const calls = { hash: 0, verify: 0 };
  const tapped: Passwords = {
    hash: (password) => {
      calls.hash += 1;
      return passwords.hash(password);
    },
    verify: (stored, password) => {
      calls.verify += 1;
      return passwords.verify(stored, password);
    },
  };
  return { calls, passwords: tapped };
};

/** Real time, which a test can move forward and stop. */
const createMovableClock = () => {
  let ahead = 0;
  let stoppedAt: number | null = null;
  return {
    now: () => (stoppedAt ?? Date.now()) + ahead,
    advance: (ms: number) => {
      ahead += ms;
    },
    /** While `use` runs no time passes: what is counted within a time does not depend on how fast the machine is. */
    standStill: async <T>(use: () => Promise<T>): Promise<T> => {
      stoppedAt = Date.now();
      return use().finally(() => {
        stoppedAt = null;
      });
    },
  };
};

const tablesOf = ({ prisma, pool }: Database) => ({
  users: createUserTable(prisma),
  units: createUnitTable(prisma),
  sources: createSourceTable(prisma),
  organisations: createOrganisationTable(prisma),
  sessions: createSessionTable(prisma),
  sessionCheck: createSessionCheck(pool),
});

/** As an installation without settings has them. */
export const LIFETIMES: SessionLifetimes = { userMs: 12 * 3_600_000, sourceMs: 300_000 };

/** Identity on a real database, a real access log and real keys on disk; closed by `close`. */
export const startIdentity = async (lifetimes = LIFETIMES) => {
  const db = await startTestDatabase();
  const database = await openDatabase(db.app);
  const superuser = await db.connect('superuser');
  const clock = createMovableClock();
  const { now } = clock;
  const directory = await mkdtemp(join(tmpdir(), 'cv-keys-'));
  const keyFolder = await openKeyFolder({ directory, create: true, now });
  const keys = createKeyCache({ store: keyFolder.store, now });
  const keyRing = createKeyRing({ keys, now });
  await keyRing.createOrganisationKeys(INSTALLATION);
  const audit = createAuditWriter({ postgres: db.app, writer: 'test', randomBytes, log: quiet });
  const { calls, passwords } = counted(await createPasswords());
  const tables = tablesOf(database);
  const pending = createPendingChangeTable(database.prisma);
  const effects = createIdentityEffects({ ...tables, audit, keyRing });
  const changes = createAuditedChanges<IdentityChanges>({ pending, audit, log: audit, effects, now });
  const fields = createFieldEncryption({ keys, now });
  const services = createIdentityServices({
    ...tables,
    audit,
    fields,
    passwords,
    changes,
    lifetimes,
    now,
    newId: randomUUID,
  });

  /** Entries in the order of the log; of one action when it is named. */
  async function entries(): Promise<AuditEvent[]>;
  async function entries<A extends AuditAction>(action: A): Promise<AuditEventOf<A>[]>;
  async function entries(action?: AuditAction): Promise<AuditEvent[]> {
    const { rows } = await superuser.query<{ body: string }>('SELECT body FROM audit.entry ORDER BY seq');
    const all = rows.map(({ body }) => JSON.parse(body) as AuditEvent);
    return action === undefined ? all : all.filter((event) => event.action === action);
  }

  return {
    db,
    ...database,
    superuser,
    clock,
    keys,
    keyRing,
    keyFolder,
    jwtKeys: await createJwtKeys({ keys }),
    ...{ fields, audit, lifetimes, calls },
    tables,
    pending,
    effects,
    changes,
    services,
    entries,
    /** As if the person had chosen the password she has. */
    chosen: (userId: string) =>
      superuser.query('UPDATE app_user SET password_initial = false WHERE id = $1', [userId]),
    /** From here on the log refuses every entry, while the rest of the database works. */
    stopLog: () => superuser.query(`REVOKE EXECUTE ON ${APPEND} FROM callvault_app_callvault`),
    resumeLog: () => superuser.query(`GRANT EXECUTE ON ${APPEND} TO callvault_app_callvault`),
    async close() {
      await services.closeIdentity().catch(() => undefined);
      await audit.close();
      await database.close();
      await db.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
};

export type Identity = Awaited<ReturnType<typeof startIdentity>>;

let made = 0;

/** An organisation of its own with an administrator who is signed in, and ways to make the rest. */
export const newOrganisation = async (identity: Identity) => {
  made += 1;
  const { services } = identity;
  const adminEmail = `admin${made}@org${made}.example`;
  const founded = await services.createFirstAdmin({
    organisation: `Organisation ${made}`,
    email: adminEmail,
    displayName: `Admin ${made}`,
  });
  await identity.chosen(founded.userId);
  const signIn = (email: string, password: string, address = `10.${made}.0.1`) =>
    services.signIn({ email, password, address, request: randomUUID() });
  const admin = await signIn(adminEmail, founded.initialPassword);
  const callerOf = (actor: typeof admin.actor) => ({ actor, request: randomUUID(), route: '/test' });
  const newUser = async (role: 'nurse' | 'compliance' | 'admin', units: readonly string[] = []) => {
    const email = `${role}.${randomUUID()}@org${made}.example`;
    const asked = { email, displayName: role, role, units };
    const { user, initialPassword } = await services.users.create(callerOf(admin.actor), asked);
    await identity.chosen(user.id);
    return {
      ...user,
      password: initialPassword,
      signIn: (address?: string) => signIn(email, initialPassword, address),
    };
  };
  return {
    id: founded.organisationId as string,
    number: made,
    admin: { ...admin, id: founded.userId, email: adminEmail, password: founded.initialPassword },
    caller: () => callerOf(admin.actor),
    callerOf,
    signIn,
    newUser,
    newUnit: (name: string = randomUUID()) => services.units.create(callerOf(admin.actor), { name }),
    newSource: (name: string = randomUUID()) =>
      services.sources.create(callerOf(admin.actor), {
        name,
        defaultUnit: null,
        announcement: 'v1',
        retentionClass: 'quality',
        legalBasis: 'public_task',
        signingKey: null,
      }),
  };
};

export type TestOrganisation = Awaited<ReturnType<typeof newOrganisation>>;
