import type { BenchServer } from './bench-server.ts';

/**
 * The table of every measurement: bigint key, timestamptz, tenant, status, jsonb of about 200 bytes, three more indexes. Three tenths of the
 * rows match each filter: by status they are spread over the heap, by time they lie together.
 */
const TABLE = `
  CREATE TABLE public.records (
    id bigint GENERATED ALWAYS AS IDENTITY,
    created_at timestamptz NOT NULL,
    tenant integer NOT NULL,
    status text NOT NULL,
    payload jsonb NOT NULL
  )`;

const fill = (rows: number) => `
  INSERT INTO public.records (id, created_at, tenant, status, payload) OVERRIDING SYSTEM VALUE
  SELECT n, timestamptz '2023-01-01 00:00Z' + interval '1000 days' * (n::float8 / ${rows}), n * 48271 % 2147483647 % 500,
         CASE WHEN n * 69621 % 2147483647 % 10 < 3 THEN 'expired' ELSE 'active' END,
         ('{"path": "/items/' || n % 5000 || '", "ms": ' || n * 16807 % 2147483647 % 900 || ', "request": "' || md5(n::text)
           || '", "agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/' || 100 + n % 30 || '", "referrer": "search", "tags": ["a", "b"]}')::jsonb
    FROM generate_series(1, ${rows}::bigint) AS n`;

const INDEXES = [
  'ALTER TABLE public.records ADD PRIMARY KEY (id)',
  'CREATE INDEX records_created_at_idx ON public.records (created_at)',
  'CREATE INDEX records_tenant_created_at_idx ON public.records (tenant, created_at)',
  'CREATE INDEX records_status_idx ON public.records (status)',
];

/** Which rows go, for the product and for its peers. */
export interface Selection {
  readonly name: 'interleaved' | 'clustered';
  readonly where: string;
  readonly filter: { readonly column: string; readonly op: 'EQ' | 'LT'; readonly value: string };
}

export const INTERLEAVED: Selection = {
  name: 'interleaved',
  where: `status = 'expired'`,
  filter: { column: 'status', op: 'EQ', value: 'expired' },
};

/** 300 of the 1000 days. */
export const CLUSTERED: Selection = {
  name: 'clustered',
  where: `created_at < timestamptz '2023-10-28 00:00Z'`,
  filter: { column: 'created_at', op: 'LT', value: '2023-10-28 00:00Z' },
};

/** Makes a database with the table in it, to be copied for each measurement. */
export async function makeTemplate(server: BenchServer, name: string, rows: number): Promise<void> {
  const admin = await server.connect('postgres');
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  const client = await server.connect(name);
  for (const statement of [
    `SET synchronous_commit = off`,
    `SET maintenance_work_mem = '512MB'`,
    TABLE,
    fill(rows),
    ...INDEXES,
    'VACUUM (ANALYZE, FREEZE) public.records',
  ]) {
    await client.query(statement);
  }
  await client.end();
}
