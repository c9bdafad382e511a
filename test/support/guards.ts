import type pg from 'pg';

/** Every table of the log that refuses changes. */
export const GUARDED = ['leaf', 'entry', 'batch', 'node', 'checkpoint', 'cosignature'] as const;

type Client = Pick<pg.ClientBase, 'query'>;

/** What only a superuser can do. */
export const guardsOff = async (superuser: Client, tables: readonly string[] = GUARDED): Promise<void> => {
  for (const table of tables) await superuser.query(`ALTER TABLE audit.${table} DISABLE TRIGGER USER`);
};

/** As the migrations left them: a careful superuser leaves no guard switched off. */
export const guardsOn = async (superuser: Client, tables: readonly string[] = GUARDED): Promise<void> => {
  for (const table of tables)
    for (const trigger of ['refuse_change', 'refuse_truncate'])
      await superuser.query(`ALTER TABLE audit.${table} ENABLE ALWAYS TRIGGER ${trigger}`);
};
