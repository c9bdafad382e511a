import type { AuditWriter } from '../audit/writer.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AuditEvent } from '../core/events.ts';
import type { OrganisationId } from '../core/ids.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import type { OrganisationTable } from '../storage/organisation-table.ts';
import type { SessionCheck } from '../storage/session-check.ts';
import type { SessionEnd, SessionTable } from '../storage/session-table.ts';
import type { SourceTable } from '../storage/source-table.ts';
import type { UnitTable } from '../storage/unit-table.ts';
import type { UserTable } from '../storage/user-table.ts';
import type { Effect, Effects } from './audited-change.ts';
import type { By, IdentityChanges, Millis, SourceSecretHashes } from './identity-changes.ts';
import { newEventId } from './new-event-id.ts';

export type IdentityTables = {
  readonly users: UserTable;
  readonly units: UnitTable;
  readonly sources: SourceTable;
  readonly organisations: OrganisationTable;
  readonly sessions: SessionTable;
  readonly sessionCheck: SessionCheck;
};

export type IdentityEffectDeps = Pick<
  IdentityTables,
  'users' | 'units' | 'sources' | 'organisations' | 'sessions'
> & {
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly keyRing: Pick<KeyRing, 'createOrganisationKeys'>;
};

const taken = (what: string): AppError => new AppError('conflict', `${what} is already in use.`);
const secretsOf = ({ clientSecretHash, apiKeyHash }: SourceSecretHashes) => ({
  clientSecretHash: Buffer.from(clientSecretHash, 'hex'),
  apiKeyHash: Buffer.from(apiKeyHash, 'hex'),
});
const dateOf = (time: Millis | null): Date | null => (time === null ? null : new Date(time));

type Kinds<P extends string> = Pick<IdentityChanges, Extract<keyof IdentityChanges, `${P}.${string}`>>;

const organisationEffects = (deps: IdentityEffectDeps): Effects<Kinds<'organisation' | 'policy'>> => {
  const { organisations, users, sessions, keyRing, audit } = deps;
  const appendOnce = async (event: AuditEvent): Promise<void> => {
    await audit.append(event).catch((error: unknown) => {
      if (!isAppError(error, 'event_exists')) throw error;
    });
  };
  return {
    'organisation.create': {
      async claim({ id, name, email, userId }) {
        if (await organisations.nameTaken(name, id)) throw taken('This name');
        if (await users.emailTaken(email, userId)) throw taken('This e-mail address');
        // Before the entry, so that a key service that is away refuses and leaves nothing half done. Keys without an
        // organisation open nothing.
        await keyRing.createOrganisationKeys(id as OrganisationId);
      },
      async apply({ id, name, at, adminEvent, userId, ...account }) {
        await keyRing.createOrganisationKeys(id as OrganisationId);
        const made = new Date(at);
        await organisations.insertWithAdmin(
          { id, name, at: made },
          { ...account, id: userId, organisationId: id, units: [], at: made },
        );
        await appendOnce(adminEvent);
      },
    },
    'organisation.rename': {
      async claim({ id, name }) {
        if (await organisations.nameTaken(name, id)) throw taken('This name');
      },
      apply: ({ id, name }) => organisations.rename(id, name),
    },
    'organisation.switch': {
      async apply({ id, disabledAt }) {
        await organisations.setDisabled(id, dateOf(disabledAt));
        if (disabledAt !== null)
          await sessions.endAll({ organisationId: id }, 'disabled', new Date(disabledAt));
      },
    },
    'policy.change': {
      apply: ({ organisationId, policies }) => organisations.setPolicies(organisationId, policies),
    },
  };
};

const unitEffects = ({ units }: IdentityEffectDeps): Effects<Kinds<'unit'>> => {
  const claim = async ({ organisationId, name, id }: IdentityChanges['unit.rename']): Promise<void> => {
    if (await units.nameTaken(organisationId, name, id)) throw taken('This name');
  };
  return {
    'unit.create': { claim, apply: (unit) => units.insert({ ...unit, at: new Date(unit.at) }) },
    'unit.rename': { claim, apply: ({ id, name }) => units.rename(id, name) },
    'unit.switch': { apply: ({ id, disabledAt }) => units.setDisabled(id, dateOf(disabledAt)) },
  };
};

const userEffects = ({ users, sessions, audit }: IdentityEffectDeps): Effects<Kinds<'user'>> => {
  /** Entry by entry, then the sessions: killed in between, an entry is written twice rather than not at all. */
  const closeSessions = async (
    userId: string,
    keep: string | null,
    reason: SessionEnd,
    at: Millis,
    by: By,
  ) => {
    const open = await sessions.openOf(userId, keep, new Date(at));
    const entry = (session: string) =>
      audit.append({
        ...by,
        id: newEventId(at),
        at,
        action: 'session.closed',
        outcome: 'success',
        unit: null,
        recording: null,
        subject: null,
        purpose: null,
        session,
        detail: { reason },
      });
    await Promise.all(open.map(entry));
    await Promise.all(open.map((session) => sessions.end(session, reason, new Date(at))));
  };
  return {
    'user.create': {
      async claim({ email, userId }) {
        if (await users.emailTaken(email, userId)) throw taken('This e-mail address');
      },
      apply: ({ userId, at, ...account }) => users.insert({ ...account, id: userId, at: new Date(at) }),
    },
    'user.change': {
      async claim({ email, userId }) {
        if (email !== undefined && (await users.emailTaken(email, userId)))
          throw taken('This e-mail address');
      },
      apply: ({ userId, ...change }) => users.change(userId, change),
    },
    'user.password': {
      async apply({ userId, passwordHash, initial, keepSession, at, by }) {
        await users.setPassword(userId, passwordHash, { initial });
        await closeSessions(userId, keepSession, 'password_changed', at, by);
      },
    },
    // Disabling is the safe direction, and only the row itself can tell who is last: it takes effect before its entry.
    'user.disable': {
      async claim({ userId, at }) {
        if ((await users.disableUnlessLast(userId, new Date(at))) === 'last')
          throw new AppError('conflict', 'This is the last administrator: appoint another one first.');
      },
      async apply({ userId, at, by }) {
        await users.disable(userId, new Date(at));
        await closeSessions(userId, null, 'disabled', at, by);
      },
      release: ({ userId, at }) => users.enable(userId, new Date(at)),
    },
    'user.enable': { apply: ({ userId }) => users.enable(userId) },
  };
};

const sourceEffects = ({ sources, sessions }: IdentityEffectDeps): Effects<Kinds<'source'>> => ({
  'source.create': {
    apply: (source) => sources.insert({ ...source, ...secretsOf(source), at: new Date(source.at) }),
  },
  'source.change': { apply: ({ id, columns }) => sources.change(id, columns) },
  'source.secrets': {
    async apply({ id, at, ...secrets }) {
      await sources.setSecrets(id, secretsOf(secrets));
      await sessions.endAll({ sourceId: id }, 'password_changed', new Date(at));
    },
  },
  'source.switch': {
    async apply({ id, disabledAt }) {
      await sources.setDisabled(id, dateOf(disabledAt));
      if (disabledAt !== null) await sessions.endAll({ sourceId: id }, 'disabled', new Date(disabledAt));
    },
  },
});

const sessionEnd = ({ sessions }: IdentityEffectDeps): Effect<IdentityChanges['session.end']> => ({
  // Ending is the safe direction: it is done even if the log is away, and never undone. Of several who end one session
  // at once, one does, and writes the entry.
  async claim({ id, reason, at }) {
    if (!(await sessions.end(id, reason, new Date(at))))
      throw new AppError('unauthenticated', 'Sign in again: the session has ended.');
  },
  async apply({ id, reason, at }) {
    await sessions.end(id, reason, new Date(at));
  },
});

/** How each change to who may do what is carried out, once its entry is in the log. All are idempotent. */
export const createIdentityEffects = (deps: IdentityEffectDeps): Effects<IdentityChanges> => ({
  ...organisationEffects(deps),
  ...unitEffects(deps),
  ...userEffects(deps),
  ...sourceEffects(deps),
  'session.end': sessionEnd(deps),
});
