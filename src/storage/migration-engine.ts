import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  DriverAdapterError,
  type ErrorRegistry,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
  type SqlQuery,
} from '@prisma/driver-adapter-utils';
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';

/**
 * Prisma's own schema engine, as WebAssembly over one ordinary connection: it keeps the same history table as
 * `prisma migrate deploy`, and nothing has to be downloaded. Where engine and adapter do not fit, they are mended here.
 */
export type MigrationEngine = glue.SchemaEngine;

/** The few words of the platform's interface that are needed; the project's type libraries leave it to browsers. */
declare const WebAssembly: {
  instantiate(
    binary: Uint8Array,
    imports: object,
  ): Promise<{ readonly instance: { readonly exports: unknown } }>;
};

let loading: Promise<void> | null = null;

const load = async (): Promise<void> => {
  // A panicking engine reports here and then never answers. Throwing makes the reason known and ends the process.
  const report = (message: string): never => {
    throw new Error(`the schema engine failed: ${message}`);
  };
  Object.assign(globalThis, { PRISMA_WASM_PANIC_REGISTRY: { set_message: report } });
  const folder = dirname(createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm'));
  const binary = await readFile(join(folder, 'schema_engine_bg.wasm'));
  const { instance } = await WebAssembly.instantiate(binary, { './schema_engine_bg.js': glue });
  (glue as unknown as { __wbg_set_wasm(wasm: unknown): void }).__wbg_set_wasm(instance.exports);
  (instance.exports as { readonly __wbindgen_start: () => void }).__wbindgen_start();
};

/** PostgreSQL's one-byte type "char", which its catalogue uses and the adapter refuses, and what the adapter is told instead. */
const CHAR = 18;
const BPCHAR = 1042;

/** Columns of type "char" by the rows they came with: the adapter hands on the same array. */
type CharColumns = WeakMap<readonly unknown[], readonly number[]>;

/** One connection, on which an advisory lock taken once holds for everything the engine does. */
const mendedPool = (client: pg.Client, chars: CharColumns): pg.Pool => {
  const query = async (statement: pg.QueryConfig): Promise<pg.QueryResult> => {
    const result = await client.query(statement);
    chars.set(
      result.rows,
      result.fields.flatMap((field, index) => (field.dataTypeID === CHAR ? [index] : [])),
    );
    for (const field of result.fields) if (field.dataTypeID === CHAR) field.dataTypeID = BPCHAR;
    return result;
  };
  return Object.assign(new pg.Pool({ max: 1 }), {
    query,
    connect: () =>
      Promise.reject(new Error('the schema engine was not expected to open a transaction of its own')),
  });
};

/** The adapter with both faults mended: "char" columns, and scripts. */
const mendAdapter = (
  adapter: SqlDriverAdapter,
  chars: CharColumns,
  executeScript: (script: string) => Promise<void>,
): SqlDriverAdapter => {
  const queryRaw = adapter.queryRaw.bind(adapter);
  return Object.assign(adapter, {
    executeScript,
    queryRaw: async (query: SqlQuery) => {
      const result = await queryRaw(query);
      for (const index of chars.get(result.rows) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
      return result;
    },
  });
};

/** Sends a script as one query: the server runs it whole or not at all, and `;` inside `$$` bodies stays what it is. */
const sendScript = async (
  client: pg.Client,
  script: string,
  refused: (message: string) => void,
): Promise<void> => {
  try {
    await client.query(script);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    refused(error.message);
    // The detail stays out: it quotes rows, and the engine writes what it gets into the history table.
    throw new DriverAdapterError({
      kind: 'postgres',
      code: error.code ?? 'XX000',
      severity: error.severity ?? 'ERROR',
      message: error.message,
      detail: undefined,
      column: error.column,
      hint: error.hint,
    });
  }
};

/** The adapter's errors are values to the engine; one it cannot express comes back as a number and is looked up here. */
const originalOf = (error: unknown, registry: ErrorRegistry): unknown => {
  const id = error instanceof Error ? /External error id#(\d+)/.exec(error.message)?.[1] : undefined;
  return id === undefined ? error : (registry.consumeError(Number(id))?.error ?? error);
};

/**
 * Gives `use` an engine on `client`'s connection (connected, of a role that may change the schema). `schema` is the text of
 * schema.prisma; `amend` may lengthen each script that the engine runs.
 */
export const withMigrationEngine = async <T>(
  client: pg.Client,
  schema: string,
  use: (engine: MigrationEngine) => Promise<T>,
  amend: (script: string) => string = (script) => script,
): Promise<T> => {
  loading ??= load();
  await loading;
  const chars: CharColumns = new WeakMap();
  let refusal: Error | null = null;
  const run = (script: string): Promise<void> =>
    sendScript(client, amend(script), (message) => {
      refusal = new Error(message);
    });
  const factory = new PrismaPg(mendedPool(client, chars), { schema: 'public' });
  const connect = factory.connect.bind(factory);
  const mended = Object.assign(factory, {
    connect: async () => mendAdapter(await connect(), chars, run),
    // The engine's shadow database would be made by `connect` too, and so be the live one.
    connectToShadowDb: () => Promise.reject(new Error('there is no shadow database')),
  });
  const adapter = bindMigrationAwareSqlAdapterFactory(mended as SqlMigrationAwareDriverAdapterFactory);
  const datamodels: [string, string][] = [['schema.prisma', schema]];
  const engine = await glue.SchemaEngine.new({ datamodels }, () => undefined, adapter);
  try {
    return await use(engine);
  } catch (error) {
    // The engine has words of its own for many errors, without the part that helps; the server's are handed on as the cause.
    const original = originalOf(error, adapter.errorRegistry);
    throw refusal === null ? original : new Error(String(original), { cause: refusal });
  } finally {
    engine.free();
  }
};
