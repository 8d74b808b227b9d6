import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import type { BenchServer } from './bench-server.ts';

const BLOCK = 250;

/** Tables as applications have them: nine columns, two indexes, some rows, statistics; every tenth one half emptied. */
export async function makeManyTables(server: BenchServer, database: string, tables: number): Promise<void> {
  const admin = await server.connect('postgres');
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  for (let from = 0; from < tables; from += BLOCK) {
    const client = await server.connect(database);
    await client.query(block(from, Math.min(from + BLOCK, tables)));
    await client.end();
  }
  const client = await server.connect(database);
  await client.query('VACUUM ANALYZE');
  await client.end();
}

/** The schema "s7" holds the tables 1 750 to 1 999, as an application of many modules or tenants would. */
const block = (from: number, to: number) => `
  DO $$
  DECLARE own text := 's' || ${from / BLOCK};
  BEGIN
    EXECUTE format('CREATE SCHEMA %I', own);
    FOR n IN ${from}..${to - 1} LOOP
      EXECUTE format('CREATE TABLE %I.%I (id bigint PRIMARY KEY, tenant int NOT NULL, name text, kind text, amount numeric(12,2), is_open bool,
                      payload jsonb, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz)', own, 'table_' || n);
      EXECUTE format('INSERT INTO %I.%I SELECT g, g %% 7, md5(g::text), (ARRAY[''a'', ''b''])[1 + g %% 2], g, g %% 3 = 0, jsonb_build_object(''k'', g), now(), NULL
                        FROM generate_series(1, %s) g', own, 'table_' || n, CASE WHEN n % 50 = 0 THEN 5000 ELSE 60 END);
      EXECUTE format('CREATE INDEX ON %I.%I (tenant, created_at)', own, 'table_' || n);
      IF n % 10 = 0 THEN EXECUTE format('DELETE FROM %I.%I WHERE id %% 2 = 0', own, 'table_' || n); END IF;
    END LOOP;
  END $$`;

const SCHEMA_PACKAGE = 'zabbix-server-pgsql';
const TENANTS = 6;

/** The tables of a public application, once for each of its tenants; null where Debian's packages cannot be reached. */
export async function makePublicSchema(server: BenchServer, database: string): Promise<number | null> {
  const scripts = await publicScripts();
  if (scripts === null) return null;
  const admin = await server.connect('postgres');
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  const client = await server.connect(database);
  for (let tenant = 1; tenant <= TENANTS; tenant += 1) {
    await client.query(`CREATE SCHEMA tenant_${tenant}; SET search_path = tenant_${tenant}`);
    await client.query(scripts.schema);
    if (tenant === 1) for (const rows of scripts.rows) await client.query(rows);
  }
  await client.query('VACUUM ANALYZE');
  const { rows } = await client.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text LIKE 'tenant%'`,
  );
  await client.end();
  return rows[0]?.count ?? 0;
}

async function publicScripts(): Promise<{ schema: string; rows: string[] } | null> {
  const folder = mkdtempSync(join(tmpdir(), 'declutter-schema-'));
  try {
    await promisify(execFile)('apt-get', ['download', SCHEMA_PACKAGE], { cwd: folder });
    const [file = ''] = readdirSync(folder).filter((name) => name.endsWith('.deb'));
    await promisify(execFile)('dpkg-deb', ['-x', file, 'unpacked'], { cwd: folder });
    const script = (name: string) =>
      gunzipSync(
        readFileSync(join(folder, 'unpacked', 'usr', 'share', SCHEMA_PACKAGE, `${name}.sql.gz`)),
      ).toString();
    return { schema: script('schema'), rows: [script('images'), script('data')] };
  } catch (error) {
    process.stderr.write(`No public schema: ${String(error)}\n`);
    return null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
