/** What finding and merging duplicates costs in a large table: npm run bench:deduplication [-- --rows 3000000] */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'graphql';
import type { ApiClient, TypedDocument } from '../src/cli/client/api-client.ts';
import { waitForRun } from '../src/cli/client/follow-run.ts';
import { StartRunDocument } from '../src/cli/client/generated/api.ts';
import { type BenchServer, startBenchServer } from './bench-server.ts';
import { type Product, startProduct } from './product.ts';

const { values } = parseArgs({ options: { rows: { type: 'string', default: '3000000' } } });
const rows = Number(values.rows);
const DATABASE = 'duplicates';

/** One row in twenty repeats the mail of another, spread over the heap; orders reference people at random. */
const tables = (count: number) => `
  CREATE TABLE person (id bigint PRIMARY KEY, email text NOT NULL, name text, at timestamptz NOT NULL);
  INSERT INTO person
  SELECT n, 'person.' || CASE WHEN n % 20 = 0 THEN n * 48271 % 2147483647 % ${count} / 20 * 20 + 1 ELSE n END || '@example.org', md5(n::text), now()
    FROM generate_series(1, ${count}::bigint) AS n;
  CREATE TABLE orders (id bigint PRIMARY KEY, person bigint NOT NULL REFERENCES person ON DELETE CASCADE);
  INSERT INTO orders SELECT n, n * 69621 % 2147483647 % ${count} + 1 FROM generate_series(1, ${count}::bigint / 2) AS n;
  CREATE INDEX ON orders (person);`;

interface PlanAnswer {
  readonly planDeduplication: {
    readonly id: string;
    readonly hash: string;
    readonly state: string;
    readonly impact: { readonly rows: number; readonly rowsAreExact: boolean };
    readonly effects: readonly { readonly effect: string; readonly rows: number }[];
  };
}

const PLAN = parse(`mutation Plan($input: PlanDeduplicationInput!) {
  planDeduplication(input: $input) { id hash state impact { rows rowsAreExact } effects { effect rows } }
}`) as TypedDocument<PlanAnswer, { input: object }>;

const folder = await mkdtemp(join(tmpdir(), 'declutter-bench-'));
const server = await startBenchServer();
try {
  await fill(server);
  const product = await startProduct(server, folder);
  try {
    await product.register(DATABASE);
    await measure(product, await product.client());
  } finally {
    await product.stop();
  }
} finally {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}

async function fill({ connect }: BenchServer): Promise<void> {
  const admin = await connect('postgres');
  await admin.query(`CREATE DATABASE ${DATABASE}`);
  await admin.end();
  const client = await connect(DATABASE);
  await client.query(`SET synchronous_commit = off; ${tables(rows)}`);
  await client.query('VACUUM ANALYZE');
  await client.end();
}

async function measure(product: Product, client: ApiClient): Promise<void> {
  const before = await temporaryBytes();
  const planned = performance.now();
  const { planDeduplication: plan } = await client.request(PLAN, {
    input: {
      database: DATABASE,
      table: 'person',
      key: [{ column: 'email', ignoreCase: true, trim: true }],
      keep: { by: 'id', order: 'LOWEST' },
      throttle: { dutyCycle: 1 },
    },
  });
  const started = performance.now();
  say(
    `plan: ${plan.state}, ${plan.impact.rows} rows (exact: ${plan.impact.rowsAreExact}) in ${seconds(started - planned)} s`,
  );
  for (const { effect, rows: count } of plan.effects) say(`  ${effect} ${count}`);
  const key = { planId: plan.id, planHash: plan.hash, idempotencyKey: plan.id };
  const { startRun } = await client.request(StartRunDocument, key);
  const run = await waitForRun(client, startRun.id, { pollMs: 20_000 });
  say(`run: ${run.state} in ${seconds(performance.now() - started)} s, ${run.progress.batches} batches`);
  say(`temporary files of the server: ${(await temporaryBytes()) - before} bytes`);
  say(
    `memory at its highest: worker ${mb(product.workerMemory().peak)} MB, API ${mb(product.apiMemory().peak)} MB`,
  );
}

async function temporaryBytes(): Promise<number> {
  const client = await server.connect(DATABASE);
  const { rows: found } = await client.query<{ bytes: number }>(
    'SELECT temp_bytes::float8 AS bytes FROM pg_stat_database WHERE datname = current_database()',
  );
  await client.end();
  return found[0]?.bytes ?? 0;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}

function mb(megabytes: number): number {
  return Math.round(megabytes);
}
