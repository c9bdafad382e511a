import type { AuditWriter } from '../audit/writer.ts';
import { AppError } from '../core/errors.ts';
import { isUuid, type OrganisationId, type SessionId, type SourceId } from '../core/ids.ts';
import { bearerSecretHash, sameHash } from '../crypto/bearer-secrets.ts';
import type { SessionTable } from '../storage/session-table.ts';
import type { SourceTable } from '../storage/source-table.ts';
import { eventBase } from './event-base.ts';
import type { Origins } from './origins.ts';
import type { RefusalAggregator } from './refusal-aggregator.ts';
import type { OpenedSession, SessionLifetimes } from './session-limits.ts';

export type IssueSourceTokenDeps = {
  readonly sources: Pick<SourceTable, 'findClient'>;
  readonly sessions: Pick<SessionTable, 'openForSource'>;
  readonly origins: Origins;
  readonly refusals: Pick<RefusalAggregator, 'record'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly lifetimes: Pick<SessionLifetimes, 'sourceMs'>;
  readonly now: () => number;
  readonly newId: () => string;
};

/** All but `request` is attacker-controlled. */
export type SourceTokenRequest = {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly address: string;
  readonly request: string;
};

const refused = (): AppError =>
  new AppError('unauthenticated', 'The client id or the client secret is not right.');

/** Client credentials for a short session. The secret has 256 random bits: guessing is hopeless, so it is only counted. */
export const createIssueSourceToken = (deps: IssueSourceTokenDeps) => {
  const { sources, sessions, origins, audit, now } = deps;

  const check = async ({ clientId, clientSecret }: SourceTokenRequest) => {
    const presented = bearerSecretHash(clientSecret, 'secret');
    const client = presented === null || !isUuid(clientId) ? null : await sources.findClient(clientId);
    if (presented === null || client === null || !sameHash(presented, client.clientSecretHash)) return null;
    return client.enabled ? client : null;
  };

  const refuse = async ({ address, clientId, request }: SourceTokenRequest): Promise<never> => {
    const [place, account] = await Promise.all([origins.place(address), origins.account(clientId)]);
    const refusal = { prefix: place.label, account: account.label, reason: 'client_credentials', request };
    await deps.refusals.record(refusal);
    throw refused();
  };

  return async (asked: SourceTokenRequest): Promise<OpenedSession> => {
    const client = await check(asked);
    if (client === null) return refuse(asked);
    const id = deps.newId();
    const at = now();
    const expiresAt = new Date(at + deps.lifetimes.sourceMs);
    const actor = {
      type: 'source',
      id: client.id as SourceId,
      role: 'source',
      organisation: client.organisationId as OrganisationId,
      session: id as SessionId,
    } as const;
    await audit.append({
      ...eventBase(actor, asked.request, at),
      action: 'session.opened',
      outcome: 'success',
      detail: { method: 'client_credentials' },
    });
    const { clientSecretHash } = client;
    const opened = { id, sourceId: client.id, clientSecretHash, at: new Date(at), expiresAt };
    if (!(await sessions.openForSource(opened))) throw refused();
    return { id, subject: client.id, expiresAt };
  };
};

export type IssueSourceToken = ReturnType<typeof createIssueSourceToken>;
