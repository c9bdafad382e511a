import { AppError } from '../core/errors.ts';
import type { OrganisationId } from '../core/ids.ts';
import { webhookUrl } from '../core/webhook-url.ts';
import type { WebhookSecrets } from '../crypto/webhook-secrets.ts';
import type { DeadMessage, WebhookMessageTable } from '../storage/webhook-message-table.ts';
import type { SecretSeed, WebhookRow, WebhookTable } from '../storage/webhook-table.ts';
import type { AuditedChanges, Effects } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';
import { invalid } from './fault.ts';
import type { Millis } from './identity-changes.ts';
import { type ListQuery, type Page, pageOf } from './page.ts';

/** What a receiver can be told. */
export type WebhookEvent = 'recording.stored' | 'recording.flagged' | 'recording.missing';

type Seed = { readonly secretSalt: string; readonly secretVersion: number };

export type WebhookChanges = {
  'webhook.create': Seed & {
    readonly id: string;
    readonly organisationId: string;
    readonly url: string;
    readonly events: readonly string[];
    readonly at: Millis;
  };
  'webhook.change': { readonly id: string; readonly url?: string; readonly events?: readonly string[] };
  'webhook.secret': Seed & { readonly id: string };
  'webhook.switch': { readonly id: string; readonly disabledAt: Millis | null };
  'webhook.redeliver': { readonly id: string; readonly message: string | null; readonly at: Millis };
};

const seedOf = ({ secretSalt, secretVersion }: Seed): SecretSeed => ({
  secretSalt: Buffer.from(secretSalt, 'hex'),
  secretVersion,
});

/** How each change is carried out once its entry is in the log. All are idempotent. */
export const createWebhookEffects = ({
  webhooks,
  messages,
}: {
  readonly webhooks: WebhookTable;
  readonly messages: Pick<WebhookMessageTable, 'revive'>;
}): Effects<WebhookChanges> => ({
  'webhook.create': {
    apply: ({ id, organisationId, url, events, at, ...seed }) =>
      webhooks.insert({ id, organisationId, url, events, ...seedOf(seed), at: new Date(at) }),
  },
  'webhook.change': { apply: ({ id, ...changes }) => webhooks.change(id, changes) },
  'webhook.secret': { apply: ({ id, ...seed }) => webhooks.setSecret(id, seedOf(seed)) },
  'webhook.switch': {
    apply: ({ id, disabledAt }) =>
      webhooks.setDisabled(id, disabledAt === null ? null : new Date(disabledAt)),
  },
  'webhook.redeliver': {
    async apply({ id, message, at }) {
      await messages.revive(id, message, new Date(at));
    },
  },
});

export type AdministerWebhooksDeps = {
  readonly webhooks: Pick<WebhookTable, 'find' | 'list' | 'count'>;
  readonly messages: Pick<WebhookMessageTable, 'dead'>;
  readonly secrets: Pick<WebhookSecrets, 'newestVersion' | 'text'>;
  readonly authority: Authority;
  readonly changes: Pick<AuditedChanges<WebhookChanges>, 'perform'>;
  /** `host:port` of receivers inside, which the operator permits. */
  readonly allowedHosts: ReadonlySet<string>;
  readonly randomBytes: (count: number) => Buffer;
  readonly now: () => number;
  readonly newId: () => string;
};

export type WebhookRequest = { readonly url: string; readonly events: readonly WebhookEvent[] };
/** The secret is shown once, and derived anew whenever it is needed. */
export type WebhookWithSecret = { readonly webhook: WebhookRow; readonly secret: string };

/** Each is written to by every recording of the organisation. */
const MAX_WEBHOOKS = 10;
const SALT_BYTES = 16;

type Found = (caller: Caller, id: string) => Promise<WebhookRow>;

const changeOf = ({ now }: AdministerWebhooksDeps, caller: Caller, target: string, change: string) =>
  ({
    ...eventBase(caller.actor, caller.request, now()),
    action: 'webhook.changed',
    outcome: 'success',
    detail: { target, change },
  }) as const;

const eventsOf = (events: readonly WebhookEvent[]): readonly string[] => [...new Set(events)];

const urlOf = (text: string, allowed: ReadonlySet<string>): string => {
  const judged = webhookUrl(text, allowed);
  if ('fault' in judged) throw invalid('body/url', judged.fault);
  return judged.url;
};

/** What a new secret is made of, and the secret itself. */
const newSecret = async (
  { secrets, randomBytes }: AdministerWebhooksDeps,
  owner: string,
  webhook: string,
): Promise<{ readonly seed: Seed; readonly secret: string }> => {
  const organisation = owner as OrganisationId;
  const [salt, version] = [randomBytes(SALT_BYTES), await secrets.newestVersion(organisation)];
  return {
    seed: { secretSalt: salt.toString('hex'), secretVersion: version },
    secret: await secrets.text({ organisation, webhook, salt, version }),
  };
};

const assertRoom = async ({ webhooks }: AdministerWebhooksDeps, organisation: string): Promise<void> => {
  if ((await webhooks.count(organisation)) >= MAX_WEBHOOKS)
    throw new AppError('conflict', `An organisation has at most ${MAX_WEBHOOKS} webhooks: disable one.`);
};

const namingReceivers = (deps: AdministerWebhooksDeps, find: Found) => {
  const { authority, changes } = deps;
  return {
    async create(caller: Caller, asked: WebhookRequest): Promise<WebhookWithSecret> {
      const organisationId = await authority.inOrganisation(caller, 'webhook.manage');
      const [url, events] = [urlOf(asked.url, deps.allowedHosts), eventsOf(asked.events)];
      await assertRoom(deps, organisationId);
      const id = deps.newId();
      const { seed, secret } = await newSecret(deps, organisationId, id);
      const event = changeOf(deps, caller, id, 'created');
      const made = { id, organisationId, url, events };
      await changes.perform(event, 'webhook.create', { ...made, ...seed, at: event.at });
      return { webhook: { ...made, createdAt: new Date(event.at), disabledAt: null }, secret };
    },

    async change(caller: Caller, id: string, asked: Partial<WebhookRequest>): Promise<WebhookRow> {
      const webhook = await find(caller, id);
      const change = {
        ...(asked.url === undefined ? {} : { url: urlOf(asked.url, deps.allowedHosts) }),
        ...(asked.events === undefined ? {} : { events: eventsOf(asked.events) }),
      };
      if (Object.keys(change).length === 0) return webhook;
      const event = changeOf(deps, caller, id, Object.keys(change).join(', '));
      await changes.perform(event, 'webhook.change', { id, ...change });
      return { ...webhook, ...change };
    },

    /** A new secret; the next message is signed with it. */
    async replaceSecret(caller: Caller, id: string): Promise<WebhookWithSecret> {
      const webhook = await find(caller, id);
      const { seed, secret } = await newSecret(deps, webhook.organisationId, id);
      await changes.perform(changeOf(deps, caller, id, 'secret'), 'webhook.secret', { id, ...seed });
      return { webhook, secret };
    },
  };
};

/** Where one's own organisation is told what became of its recordings. */
export const createAdministerWebhooks = (deps: AdministerWebhooksDeps) => {
  const { webhooks, authority, changes } = deps;
  const find: Found = async (caller, id) => authority.over(caller, 'webhook.manage', await webhooks.find(id));
  return {
    ...namingReceivers(deps, find),

    async list(caller: Caller, query: ListQuery): Promise<Page<WebhookRow>> {
      const organisationId = await authority.inOrganisation(caller, 'webhook.manage');
      return pageOf(query, (page) => webhooks.list(organisationId, page));
    },

    /** While it is disabled nothing is sent, and nothing new is kept for it. */
    async setDisabled(caller: Caller, id: string, disabled: boolean): Promise<WebhookRow> {
      const webhook = await find(caller, id);
      if ((webhook.disabledAt !== null) === disabled) return webhook;
      if (!disabled) await assertRoom(deps, webhook.organisationId);
      const event = changeOf(deps, caller, id, disabled ? 'disabled' : 'enabled');
      const disabledAt = disabled ? event.at : null;
      await changes.perform(event, 'webhook.switch', { id, disabledAt });
      return { ...webhook, disabledAt: disabledAt === null ? null : new Date(disabledAt) };
    },

    /** What the receiver was not told after all, oldest first. */
    async deadLetters(caller: Caller, id: string, query: ListQuery): Promise<Page<DeadMessage>> {
      const webhook = await find(caller, id);
      return pageOf(query, (page) => deps.messages.dead(webhook.id, page));
    },

    /** Sends them again, all or one (`message`), for as long as new ones. */
    async redeliver(caller: Caller, id: string, message: string | null): Promise<void> {
      await find(caller, id);
      const event = changeOf(deps, caller, id, message === null ? 'redeliver' : 'redeliver one');
      await changes.perform(event, 'webhook.redeliver', { id, message, at: event.at });
    },
  };
};

export type AdministerWebhooks = ReturnType<typeof createAdministerWebhooks>;
