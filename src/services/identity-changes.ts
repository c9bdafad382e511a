import type { Actor, AuditEvent } from '../core/events.ts';
import type { SessionEnd } from '../storage/session-table.ts';
import type { SourceColumns } from '../storage/source-table.ts';
import type { UserRole } from '../storage/user-table.ts';

/** On whose account something else happened, for the entries that follow from a change. */
export type By = {
  readonly actor: Actor;
  readonly organisation: string | null;
  readonly request: string | null;
};

/** Milliseconds since 1970; payloads are JSON and wait in the database until their effect is done. */
export type Millis = number;

type Account = {
  readonly userId: string;
  readonly role: UserRole;
  readonly email: string;
  readonly displayName: string;
  readonly passwordHash: string;
};
export type SourceSecretHashes = { readonly clientSecretHash: string; readonly apiKeyHash: string };
type Switch = { readonly id: string; readonly disabledAt: Millis | null };

/** What can change, by kind. `email`, `name` and their ids are where the tables look for names about to be taken. */
export type IdentityChanges = {
  'organisation.create': Account & {
    readonly id: string;
    readonly name: string;
    readonly at: Millis;
    /** The entry about the administrator, in the new organisation's own part of the log. */
    readonly adminEvent: AuditEvent;
  };
  'organisation.rename': { readonly id: string; readonly name: string };
  'organisation.switch': Switch;
  'unit.create': {
    readonly id: string;
    readonly organisationId: string;
    readonly name: string;
    readonly at: Millis;
  };
  'unit.rename': { readonly id: string; readonly organisationId: string; readonly name: string };
  'unit.switch': Switch;
  'user.create': Account & {
    readonly organisationId: string | null;
    readonly units: readonly string[];
    readonly at: Millis;
  };
  'user.change': {
    readonly userId: string;
    readonly email?: string;
    readonly displayName?: string;
    readonly add: readonly string[];
    readonly remove: readonly string[];
  };
  'user.password': {
    readonly userId: string;
    readonly passwordHash: string;
    /** Made by somebody else, who knows it. */
    readonly initial: boolean;
    readonly keepSession: string | null;
    readonly at: Millis;
    readonly by: By;
  };
  'user.disable': { readonly userId: string; readonly at: Millis; readonly by: By };
  'user.enable': { readonly userId: string };
  'source.create': SourceColumns &
    SourceSecretHashes & {
      readonly id: string;
      readonly organisationId: string;
      readonly clientId: string;
      readonly at: Millis;
    };
  'source.change': { readonly id: string; readonly columns: Partial<SourceColumns> };
  'source.secrets': SourceSecretHashes & { readonly id: string; readonly at: Millis };
  'source.switch': Switch;
  'policy.change': { readonly organisationId: string; readonly policies: Readonly<Record<string, unknown>> };
  'session.end': { readonly id: string; readonly reason: SessionEnd; readonly at: Millis };
};
