import type { LegalBasis } from '../core/metadata.ts';
import { mayHoldNumber } from '../core/number-like.ts';
import type { RetentionClass } from '../core/retention.ts';
import { newBearerSecret } from '../crypto/bearer-secrets.ts';
import { isEd25519PublicKey } from '../crypto/ed25519.ts';
import { SIGNING_KEY_BYTES } from '../crypto/edge-sealing.ts';
import type { SourceColumns, SourceRow, SourceTable } from '../storage/source-table.ts';
import type { UnitTable } from '../storage/unit-table.ts';
import type { AuditedChanges } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';
import { invalid } from './fault.ts';
import type { IdentityChanges } from './identity-changes.ts';
import { nameOf } from './new-account.ts';
import { type ListQuery, type Page, pageOf } from './page.ts';

export type AdministerSourcesDeps = {
  readonly sources: Pick<SourceTable, 'find' | 'list'>;
  readonly units: Pick<UnitTable, 'usable'>;
  readonly authority: Authority;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly now: () => number;
  readonly newId: () => string;
};

/** What uploads of a source are given when their metadata does not say. */
export type SourceSettingsRequest = {
  readonly name: string;
  readonly defaultUnit: string | null;
  /** Which announcement callers hear, in the organisation's own words or version numbers. */
  readonly announcement: string;
  readonly retentionClass: RetentionClass;
  readonly legalBasis: LegalBasis;
  /** Ed25519, in base64url: from now on only what is sealed and signed by it is taken. Null: recordings come as they are. */
  readonly signingKey: string | null;
};

/** Shown once; only hashes are kept. The API key is for systems that can send one fixed header and nothing else. */
export type SourceSecretTexts = { readonly clientSecret: string; readonly apiKey: string };
export type SourceWithSecrets = SourceSecretTexts & { readonly source: SourceRow };

const newSecrets = () => {
  const secret = newBearerSecret('secret');
  const key = newBearerSecret('key');
  return {
    texts: { clientSecret: secret.text, apiKey: key.text },
    hashes: { clientSecretHash: secret.hash.toString('hex'), apiKeyHash: key.hash.toString('hex') },
  };
};

/** As a recording may name one (core/metadata-schema.ts): a version, never a number. */
const announcementOf = (text: string): string => {
  if (!/^[A-Za-z][A-Za-z0-9._-]{0,63}$/.test(text) || mayHoldNumber(text))
    throw invalid(
      'body/announcement',
      'must name a version of the announcement: letters, digits, . _ -, no long numbers',
    );
  return text;
};

/** 32 bytes in the one spelling that base64url has for them. */
const signingKeyText = (text: string | null): string | null => {
  if (text === null) return null;
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text || bytes.length !== SIGNING_KEY_BYTES)
    throw invalid('body/signingKey', 'must be an Ed25519 public key, 32 bytes in base64url');
  if (!isEd25519PublicKey(bytes))
    throw invalid(
      'body/signingKey',
      'is no public key of Ed25519: no private key belongs to it, or anybody could sign for it',
    );
  return text;
};

const columnsOf = (asked: Partial<SourceSettingsRequest>): Partial<SourceColumns> => {
  const { name, defaultUnit, announcement, retentionClass, legalBasis, signingKey } = asked;
  return {
    ...(name === undefined ? {} : { name: nameOf(name, 'body/name') }),
    ...(defaultUnit === undefined ? {} : { defaultUnitId: defaultUnit }),
    ...(announcement === undefined ? {} : { announcement: announcementOf(announcement) }),
    ...(retentionClass === undefined ? {} : { retentionClass }),
    ...(legalBasis === undefined ? {} : { legalBasis }),
    ...(signingKey === undefined ? {} : { signingKey: signingKeyText(signingKey) }),
  };
};

/** Telephony systems and imports of one's own organisation. */
export const createAdministerSources = (deps: AdministerSourcesDeps) => {
  const { sources, authority, changes, now } = deps;

  const find = async (caller: Caller, id: string): Promise<SourceRow> =>
    authority.over(caller, 'source.manage', await sources.find(id));

  const changed = (caller: Caller, target: string, change: string) =>
    ({
      ...eventBase(caller.actor, caller.request, now()),
      action: 'source.changed',
      outcome: 'success',
      detail: { target, change },
    }) as const;

  const assertUnit = async (organisationId: string, unit: string | null | undefined): Promise<void> => {
    if (unit == null || (await deps.units.usable(organisationId, [unit])).length === 1) return;
    throw invalid('body/defaultUnit', 'names a unit that is not there or is disabled');
  };

  return {
    async create(caller: Caller, asked: SourceSettingsRequest): Promise<SourceWithSecrets> {
      const organisationId = await authority.inOrganisation(caller, 'source.manage');
      await assertUnit(organisationId, asked.defaultUnit);
      const id = deps.newId();
      const columns = columnsOf(asked) as SourceColumns;
      const { texts, hashes } = newSecrets();
      const event = changed(caller, id, 'created');
      const made = { ...columns, id, organisationId, clientId: id };
      await changes.perform(event, 'source.create', { ...made, ...hashes, at: event.at });
      return { source: { ...made, createdAt: new Date(event.at), disabledAt: null, twilio: null }, ...texts };
    },

    async list(caller: Caller, query: ListQuery): Promise<Page<SourceRow>> {
      const organisationId = await authority.inOrganisation(caller, 'source.manage');
      return pageOf(query, (page) => sources.list(organisationId, page));
    },

    async change(caller: Caller, id: string, asked: Partial<SourceSettingsRequest>): Promise<SourceRow> {
      const source = await find(caller, id);
      await assertUnit(source.organisationId, asked.defaultUnit);
      const columns = columnsOf(asked);
      if (Object.keys(columns).length === 0) return source;
      const event = changed(caller, id, Object.keys(columns).join(', '));
      await changes.perform(event, 'source.change', { id, columns });
      return { ...source, ...columns };
    },

    /** New secrets for a source; the old ones, and tokens made from them, are worth nothing from the next request. */
    async replaceSecrets(caller: Caller, id: string): Promise<SourceWithSecrets> {
      const source = await find(caller, id);
      const { texts, hashes } = newSecrets();
      const event = changed(caller, id, 'secrets');
      await changes.perform(event, 'source.secrets', { id, ...hashes, at: event.at });
      return { source, ...texts };
    },

    /** True disables, false enables. Either counts from the source's next request. */
    async setDisabled(caller: Caller, id: string, disabled: boolean): Promise<SourceRow> {
      const source = await find(caller, id);
      if ((source.disabledAt !== null) === disabled) return source;
      const event = changed(caller, id, disabled ? 'disabled' : 'enabled');
      const disabledAt = disabled ? event.at : null;
      await changes.perform(event, 'source.switch', { id, disabledAt });
      return { ...source, disabledAt: disabledAt === null ? null : new Date(disabledAt) };
    },
  };
};

export type AdministerSources = ReturnType<typeof createAdministerSources>;
