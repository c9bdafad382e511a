import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installationActions, usualActions } from '../../../src/audit/indexed-actions.ts';
import { searchIndexes } from '../../../src/audit/search-indexes.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/** What the migration's indexes hold is said there and in the code, and a search is complete only where both say the same. */
let database: TestDatabase;
let superuser: pg.Client;
beforeAll(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
});
afterAll(() => database.close());

type Definition = { readonly columns: string; readonly where: string | undefined };

/** As PostgreSQL spells it, whoever spelt it before. */
const definitionOf = async (name: string): Promise<Definition> => {
  const { rows } = await superuser.query<{ definition: string }>(
    `SELECT pg_get_indexdef('audit.${name}'::regclass) AS definition`,
  );
  const [, columns, where] = / USING btree \((.*?)\)(?: WHERE (.*))?$/.exec(rows[0]!.definition)!;
  return { columns: columns!, where };
};

const wordsOf = ({ where }: Definition): readonly string[] =>
  [...where!.matchAll(/'([^']*)'/g)].map(([, word]) => word!);

describe('the indexes of the log hold what the searches think they do', () => {
  test('actions that happen all day: all that have no index by action', async () => {
    const found = await definitionOf('entry_action');
    expect(found.where).toContain('<> ALL');
    expect(wordsOf(found).toSorted()).toEqual(usualActions.toSorted());
  });

  test('actions of the installation: all that its index has beside the entries of no organisation', async () => {
    const found = await definitionOf('entry_installation');
    expect(found.where).toMatch(/organisation IS NULL\) OR .* = ANY/);
    expect(wordsOf(found).toSorted()).toEqual(installationActions.toSorted());
  });

  test('no index is there that the verifier does not look entries up in, and none is missing', async () => {
    const { rows } = await superuser.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
        WHERE indrelid = 'audit.entry'::regclass AND NOT indisprimary ORDER BY name`,
    );
    expect(rows.map(({ name }) => name)).toEqual(searchIndexes.map(({ name }) => name).toSorted());
  });

  test.each(searchIndexes)('$name has the keys and the entries that are said of it', async (index) => {
    const columns = [...index.keys.map((key) => `((facts).${key})`), '((facts).at)', 'seq'].join(', ');
    const where = index.where === undefined ? '' : `WHERE ${index.where.replaceAll('(e.facts)', '(facts)')}`;
    await superuser.query(`CREATE INDEX as_said ON ONLY audit.entry (${columns}) ${where}`);
    const said = await definitionOf('as_said');
    await superuser.query('DROP INDEX audit.as_said');
    const found = await definitionOf(index.name);
    expect(found.where).toBe(said.where);
    expect(`${found.columns}, `.startsWith(`${said.columns}, `), found.columns).toBe(true);
  });
});
