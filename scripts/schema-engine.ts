import { randomUUID } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  type SqlDriverAdapter,
  type SqlQuery,
  type SqlMigrationAwareDriverAdapterFactory,
} from '@prisma/driver-adapter-utils';
import type { DiffTarget, SchemaEngine } from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';

// Prisma's schema engine as WebAssembly: development only, so that nobody downloads a binary.

export const MIGRATIONS = new URL('../prisma/migrations/', import.meta.url);
const SCHEMA = new URL('../prisma/schema.prisma', import.meta.url);

type EngineModule = typeof import('@prisma/schema-engine-wasm/schema_engine_bg') & {
  __wbg_set_wasm(exports: Record<string, unknown>): void;
};

/** What is used of it; its types are those of browsers. */
declare const WebAssembly: {
  instantiate(
    bytes: Uint8Array,
    imports: object,
  ): Promise<{ instance: { exports: Record<string, unknown> } }>;
};

const CHAR_OID = 18;
const TEXT_OID = 25;

/**
 * The SQL that leads from the migrations to schema.prisma; empty when they agree. The migrations are replayed in a
 * shadow database that is made next to the given one and dropped again.
 */
export async function pendingSql(url: string): Promise<string> {
  await using shadow = await makeShadow(url);
  const pools: pg.Pool[] = [];
  const engine = await openEngine(shadowedAdapter(url, shadow.url, pools));
  try {
    const from: DiffTarget = { tag: 'migrations', ...(await migrationList()) };
    const path = fileURLToPath(SCHEMA);
    const to: DiffTarget = {
      tag: 'schemaDatamodel',
      files: [{ path, content: await readFile(SCHEMA, 'utf8') }],
    };
    const filters = { externalTables: [], externalEnums: [] };
    const { stdout } = await engine.diff({ from, to, script: true, exitCode: null, filters });
    return stdout === null || stdout.includes('This is an empty migration') ? '' : stdout;
  } finally {
    engine.free();
    await Promise.all(pools.map((pool) => pool.end())); // the engine ends none
  }
}

async function migrationNames(): Promise<string[]> {
  const entries = await readdir(MIGRATIONS, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

async function migrationList() {
  const names = await migrationNames();
  const read = (name: string) => readFile(new URL(`${name}/migration.sql`, MIGRATIONS), 'utf8');
  const contents = await Promise.all(names.map(read));
  return {
    baseDir: fileURLToPath(MIGRATIONS),
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
    shadowDbInitScript: '',
    migrationDirectories: names.map((path, i) => ({
      path,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value: contents[i] ?? '' } },
    })),
  };
}

/** Where the engine leaves its last words; without it a panic is a TypeError. */
Object.assign(globalThis, {
  PRISMA_WASM_PANIC_REGISTRY: { set_message: (text: string) => process.stderr.write(`${text}\n`) },
});

async function openEngine(adapter: SqlMigrationAwareDriverAdapterFactory): Promise<SchemaEngine> {
  const engine = (await import('@prisma/schema-engine-wasm/schema_engine_bg')) as EngineModule;
  const file = new URL(
    import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg').replace(/\.js$/, '.wasm'),
  );
  const { instance } = await WebAssembly.instantiate(await readFile(file), {
    './schema_engine_bg.js': engine,
  });
  engine.__wbg_set_wasm(instance.exports);
  (instance.exports['__wbindgen_start'] as () => void)();
  const bound = bindMigrationAwareSqlAdapterFactory(adapter);
  return engine.SchemaEngine.new({ datamodels: undefined }, () => undefined, bound);
}

/**
 * PrismaPg's own connectToShadowDb() given a URL connects to the main database and would replay the migrations there,
 * and its executeScript() splits at every semicolon, also within a function's body. Both are done here instead.
 */
function shadowedAdapter(
  url: string,
  shadowUrl: string,
  pools: pg.Pool[],
): SqlMigrationAwareDriverAdapterFactory {
  const connectTo = async (connectionString: string) => {
    const pool = new pg.Pool({ connectionString });
    pools.push(pool);
    return readable(await new PrismaPg(pool).connect());
  };
  return {
    provider: 'postgres',
    adapterName: '@prisma/adapter-pg',
    connect: () => connectTo(url),
    connectToShadowDb: () => connectTo(shadowUrl),
  };
}

/** The adapter refuses the catalogs' type "char": it is passed as text, and labelled as what it is afterwards. */
function readable(adapter: Awaited<ReturnType<PrismaPg['connect']>>): SqlDriverAdapter {
  const pool = adapter.underlyingDriver();
  const query: (config: pg.QueryConfig) => Promise<pg.QueryResult<unknown[]>> = pool.query.bind(pool);
  const queryRaw = adapter.queryRaw.bind(adapter);
  const charColumns = new WeakMap<object, readonly boolean[]>();
  const relabelled = async (config: pg.QueryConfig) => {
    const result = await query(config);
    charColumns.set(
      result.rows,
      result.fields.map((field) => field.dataTypeID === CHAR_OID),
    );
    for (const field of result.fields) if (field.dataTypeID === CHAR_OID) field.dataTypeID = TEXT_OID;
    return result;
  };
  Object.assign(pool, { query: relabelled });
  return Object.assign(adapter, {
    executeScript: async (script: string) => void (await query({ text: script })),
    queryRaw: async (statement: SqlQuery) => {
      const result = await queryRaw(statement);
      const isChar = charColumns.get(result.rows) ?? [];
      const columnTypes = result.columnTypes.map((type, i) => (isChar[i] ? ColumnTypeEnum.Character : type));
      return { ...result, columnTypes };
    },
  });
}

async function makeShadow(url: string): Promise<AsyncDisposable & { url: string }> {
  const name = `declutter_shadow_${randomUUID()}`;
  await execute(url, `CREATE DATABASE "${name}"`);
  const shadowUrl = new URL(url);
  shadowUrl.pathname = `/${name}`;
  return {
    url: shadowUrl.href,
    [Symbol.asyncDispose]: () => execute(url, `DROP DATABASE "${name}" WITH (FORCE)`),
  };
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
