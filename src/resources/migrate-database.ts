import pg from 'pg';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { ensureLoginRole } from '../storage/login-role.ts';
import { migrate } from '../storage/migrate.ts';

/** `callvault migrate`: schema first, then who may log in. Returns in sentences what was done. */
export const migrateDatabase = async (
  owner: PostgresSettings,
  application: PostgresSettings,
  retention: PostgresSettings | null,
): Promise<readonly string[]> => {
  const { applied } = await migrate(owner);
  const client = new pg.Client(owner);
  await client.connect();
  try {
    const admitted = [
      ...(await ensureLoginRole(client, application)),
      ...(retention === null ? [] : await ensureLoginRole(client, retention, { kind: 'retention' })),
    ];
    const schema =
      applied.length === 0 ? ['The schema is of this release.'] : applied.map((name) => `Applied ${name}.`);
    return [...schema, ...admitted];
  } finally {
    await client.end();
  }
};
