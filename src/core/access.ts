import type { Role } from './events.ts';
import type { OrganisationId, SessionId, SourceId, UnitId, UserId } from './ids.ts';

/** Who is asking, as the database knows them at this request. */
export type UserActor = {
  readonly type: 'user';
  readonly id: UserId;
  readonly role: Exclude<Role, 'source'>;
  readonly organisation: OrganisationId | null;
  readonly units: readonly UnitId[];
  readonly session: SessionId;
  /** The password is one that somebody else made and knows. */
  readonly passwordInitial?: true;
};
export type SourceActor = {
  readonly type: 'source';
  readonly id: SourceId;
  readonly role: 'source';
  readonly organisation: OrganisationId;
  readonly session: SessionId | null;
};
export type ActorContext = UserActor | SourceActor;

export const actions = [
  'session.use',
  'password.change',
  'recording.create',
  'upload.continue',
  'recording.status',
  'recording.verify',
  'recording.search',
  'recording.view',
  'recording.play',
  'playback.listen',
  'recording.erase',
  'recording.hold',
  'recording.assign',
  'import.report',
  'call.announce',
  'radar.read',
  'webhook.manage',
  'log.read',
  'log.export',
  'organisation.manage',
  'unit.manage',
  'user.manage',
  'source.manage',
  'policy.manage',
] as const;
export type Action = (typeof actions)[number];

/**
 * How near the thing is to the one who asks. `self`: made by or for this very actor; `unit`: within one of the actor's
 * care units; `organisation`: same organisation, no unit in common; `installation`: belongs to no organisation;
 * `foreign`: another organisation's, or nothing at all — the two must look alike.
 */
export const relations = ['self', 'unit', 'organisation', 'installation', 'foreign'] as const;
export type Relation = (typeof relations)[number];

/** The whole of who may do what. What is not written here is denied. Administrators and auditors hear nothing. */
const grants: Record<Role, Partial<Record<Action, readonly Relation[]>>> = {
  source: {
    'session.use': ['self'],
    'recording.create': ['organisation'],
    'upload.continue': ['self'],
    'recording.status': ['self'],
    'recording.verify': ['self'],
    'import.report': ['organisation'],
    'call.announce': ['organisation'],
  },
  nurse: {
    'session.use': ['self'],
    'password.change': ['self'],
    'recording.search': ['unit'],
    'recording.view': ['unit'],
    'recording.play': ['unit'],
    'playback.listen': ['self'],
  },
  compliance: {
    'session.use': ['self'],
    'password.change': ['self'],
    'recording.hold': ['organisation', 'unit'],
    'log.read': ['organisation'],
    'log.export': ['organisation'],
  },
  admin: {
    'session.use': ['self'],
    'password.change': ['self'],
    'recording.erase': ['organisation', 'unit'],
    'recording.assign': ['organisation', 'unit'],
    'unit.manage': ['organisation'],
    'user.manage': ['organisation'],
    'source.manage': ['organisation'],
    'radar.read': ['organisation'],
    'webhook.manage': ['organisation'],
    'policy.manage': ['organisation'],
  },
  installation_admin: {
    'session.use': ['self'],
    'password.change': ['self'],
    'organisation.manage': ['installation'],
    'user.manage': ['installation'],
  },
  installation_auditor: {
    'session.use': ['self'],
    'password.change': ['self'],
    'log.read': ['installation'],
    'log.export': ['installation'],
  },
};

/**
 * What may be done with a password that an administrator made. Otherwise whoever resets a nurse's password could hear in
 * her name, and she would not notice.
 */
const withInitialPassword: readonly Action[] = ['session.use', 'password.change'];

/** Whether the actor must choose a password before this. */
export const mustChoosePassword = (actor: ActorContext, action: Action): boolean =>
  actor.type === 'user' && actor.passwordInitial === true && !withInitialPassword.includes(action);

/** Whether the role may do this to anything at all; false is a 403 that tells nothing about any id. */
export const mayEver = (role: Role, action: Action): boolean => grants[role][action] !== undefined;

/** `forbidden` (403): not this role's to do. `hidden` (404): the role may do it, but not to this thing. */
export type Decision = 'allow' | 'forbidden' | 'hidden';

export const decide = (role: Role, action: Action, relation: Relation): Decision => {
  const allowed = grants[role][action];
  if (allowed === undefined) return 'forbidden';
  return allowed.includes(relation) ? 'allow' : 'hidden';
};

/** Nearness of something that belongs to an organisation and perhaps to a care unit. */
export const relationTo = (
  actor: ActorContext,
  thing: { readonly organisation: string | null; readonly unit?: string | null },
): Relation => {
  if (thing.organisation === null) return actor.organisation === null ? 'installation' : 'foreign';
  if (thing.organisation !== actor.organisation) return 'foreign';
  const unit = thing.unit ?? null;
  if (unit !== null && actor.type === 'user' && actor.units.includes(unit as UnitId)) return 'unit';
  return 'organisation';
};
