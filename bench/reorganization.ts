/** What it takes to give the space of a table back: npm run bench:reorganization [-- --rows 1000000] */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { waitForRun } from '../src/cli/client/follow-run.ts';
import { count } from '../src/cli/client/format.ts';
import {
  PlanReorganizationDocument,
  StartRunDocument,
  type ThrottleInput,
} from '../src/cli/client/generated/api.ts';
import { binariesOf } from '../test/support/installations.ts';
import { type BenchServer, startBenchServer } from './bench-server.ts';
import { makeTemplate } from './bench-table.ts';
import { NO_REST } from './measure-run.ts';
import { capacityOf, type Felt, foreground, missingPgbench } from './pgbench.ts';
import { type Product, startProduct } from './product.ts';
import {
  limitsFor,
  median,
  type Method,
  METHODS,
  type Outcome,
  reportOf,
  type Seen,
} from './reorganization-report.ts';
import { watched } from './reorganization-watch.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '2' },
    out: { type: 'string', default: join(import.meta.dirname, '..', 'docs', 'reorganization-speed.md') },
  },
});
const rows = Number(values.rows);
const REPACK = join(binariesOf('debian-15'), 'pg_repack');
/** The application is measured in windows of so many seconds: some alone, as many as the work takes, and some alone again. */
const WINDOW_SECONDS = 5;
const ALONE_WINDOWS = 3;
/** What a window begins with does not count: all its sessions log in at once. */
const LEAD_SECONDS = 1;
/** Of what the machine can do. A full machine would slow everybody, whatever runs beside. */
const LOAD = 0.25;
/** What is read first has to come from the disk. */
const WARM_UP_SECONDS = 2;

/** Three fifths of the rows go: from everywhere, or from the end but for its last twentieth. */
const WASTE = {
  scattered: `id * 48271 % 2147483647 % 10 < 6`,
  'at the end': `id > ${rows * 0.35} AND id <= ${rows * 0.95}`,
} as const;
type Waste = keyof typeof WASTE;

interface Bench {
  readonly server: BenchServer;
  readonly product: Product;
  readonly folder: string;
  readonly rate: number;
}

const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

/** Alone, beside the method, and alone again: whatever the machine does meanwhile shows in the one as in the other. */
async function measure(bench: Bench, waste: Waste, method: Method): Promise<Outcome> {
  const { server } = bench;
  const database = `reorganization_${waste}_${method}`.replaceAll(/\W+/g, '_').toLowerCase();
  await server.copy(templateOf(waste), database);
  await inDatabase(server, database, 'ANALYZE public.records'); // a copy has no counters of its rows
  await bench.product.register(database);
  const before = await fingerprint(server, database);
  await apply(bench, database, WARM_UP_SECONDS);
  const first = await alone(bench, database);
  const beside = await during(bench, database, () => reorganize(bench, database, method));
  const last = await alone(bench, database);
  const rowsKept = (await fingerprint(server, database)) === before;
  const ratios = await againstFull(server, database);
  await server.drop(database);
  const outcome = { ...ratios, waste, method, rowsKept, beside, alone: [first, last] };
  say(lineOf(outcome));
  return outcome;
}

function lineOf({ waste, method, heapRatio, beside, alone }: Outcome): string {
  const each = (of: (seen: Seen) => number, places = 0) =>
    [...alone, beside].map((seen) => of(seen).toFixed(places)).join(' ');
  return (
    `${waste}, ${method}: ${beside.seconds.toFixed(1)} s, ${heapRatio.toFixed(3)} of VACUUM FULL, disk +${beside.peakMb.toFixed(0)} MB, WAL ${beside.walMb.toFixed(0)} MB, ` +
    `lock ${beside.lockMs.toFixed(0)} ms; before, after, beside: stall ${each(({ stallMs }) => stallMs)}, late ${each(({ lateMs }) => lateMs)}, p99 ${each(({ p99 }) => p99, 2)} ms`
  );
}

async function alone(bench: Bench, database: string): Promise<Seen> {
  const all: Felt[] = [];
  const seen = await watched(bench.server, database, async () => {
    while (all.length < ALONE_WINDOWS) all.push(await apply(bench, database));
  });
  return { ...seen, ...middleOf(all) };
}

async function during(bench: Bench, database: string, work: () => Promise<void>): Promise<Seen> {
  const over = new AbortController();
  const all: Felt[] = [];
  const applying = async () => {
    do all.push(await apply(bench, database));
    while (!over.signal.aborted);
  };
  let applied = Promise.resolve();
  try {
    const seen = await watched(bench.server, database, () => {
      applied = applying();
      return work();
    });
    over.abort();
    await applied;
    return { ...seen, ...middleOf(all) };
  } finally {
    over.abort();
    await Promise.allSettled([applied]); // it is not left behind when the work fails
  }
}

const apply = ({ server, rate, folder }: Bench, database: string, seconds = WINDOW_SECONDS) =>
  foreground(server, database, { rows, rate, leadSeconds: LEAD_SECONDS, seconds, folder });

function middleOf(all: readonly Felt[]): Felt {
  const middle = (of: keyof Felt) => median(all.map((felt) => felt[of]));
  return {
    p50: middle('p50'),
    p95: middle('p95'),
    p99: middle('p99'),
    longest: Math.max(...all.map((felt) => felt.longest)),
  };
}

async function reorganize(bench: Bench, database: string, method: Method): Promise<void> {
  if (method === 'VACUUM FULL') return inDatabase(bench.server, database, 'VACUUM FULL public.records');
  if (method === 'pg_repack') return repack(bench.server, database);
  return compact(bench, database, method === 'COMPACT' ? {} : NO_REST);
}

async function inDatabase(server: BenchServer, database: string, statement: string): Promise<void> {
  const client = await server.connect(database);
  await client.query(statement);
  await client.end();
}

async function repack({ host, port, user, password }: BenchServer, database: string): Promise<void> {
  const login = ['-h', host, '-p', String(port), '-U', user, '-d', database];
  await promisify(execFile)(
    REPACK,
    [...login, '--no-kill-backend', '--no-order', '--table', 'public.records'],
    {
      env: { PGPASSWORD: password },
    },
  );
}

async function compact({ product }: Bench, database: string, throttle: ThrottleInput): Promise<void> {
  const client = await product.client();
  const input = { database, table: 'records', method: 'COMPACT' as const, throttle };
  const { planReorganization: plan } = await client.request(PlanReorganizationDocument, { input });
  if (plan.state !== 'READY')
    throw new Error(`The plan is ${plan.state}: ${plan.blockers.map(({ message }) => message).join(' ')}`);
  const start = { planId: plan.id, planHash: plan.hash, idempotencyKey: plan.id };
  const { startRun } = await client.request(StartRunDocument, start);
  const { state, stateReason } = await waitForRun(client, startRun.id, { pollMs: 20_000 });
  if (state !== 'SUCCEEDED') throw new Error(`The run is ${state}: ${stateReason ?? ''}`);
  say(
    `  planned: ${plan.impact.estimatedSeconds ?? '?'} s, ${count(plan.impact.rows)} rows, ${((plan.impact.walBytes ?? 0) / 1e6).toFixed(0)} MB of WAL`,
  );
}

/** Of what neither the application nor the probe changes. */
async function fingerprint(server: BenchServer, database: string): Promise<string> {
  const client = await server.connect(database);
  const found = await client.query<{ hash: string }>(
    `SELECT count(*) || ' ' || coalesce(sum(hashtextextended((id, created_at, payload)::text, 0)::numeric), 0) AS hash
       FROM public.records WHERE id <= ${rows}`,
  );
  await client.end();
  return found.rows[0]?.hash ?? '';
}

async function againstFull(
  server: BenchServer,
  database: string,
): Promise<{ heapRatio: number; totalRatio: number }> {
  const ours = await sizes(server, database);
  await inDatabase(server, database, 'VACUUM FULL public.records');
  const full = await sizes(server, database);
  return { heapRatio: ours.heap / full.heap, totalRatio: ours.total / full.total };
}

async function sizes(server: BenchServer, database: string): Promise<{ heap: number; total: number }> {
  const client = await server.connect(database);
  const found = await client.query<{ heap: number; total: number }>(
    `SELECT pg_relation_size('public.records')::float8 AS heap, pg_total_relation_size('public.records')::float8 AS total`,
  );
  await client.end();
  return found.rows[0] ?? { heap: NaN, total: NaN };
}

const templateOf = (waste: Waste) => `reorganization_${waste.replaceAll(' ', '_')}_template`;

async function makeWaste(server: BenchServer, waste: Waste): Promise<void> {
  await makeTemplate(server, templateOf(waste), rows);
  const client = await server.connect(templateOf(waste));
  await client.query(`SELECT setval(pg_get_serial_sequence('public.records', 'id'), ${rows})`);
  await client.query('CREATE EXTENSION pg_repack');
  await client.query(`DELETE FROM public.records WHERE ${WASTE[waste]}`);
  await client.query('VACUUM ANALYZE public.records');
  await client.end();
}

async function main(server: BenchServer, folder: string): Promise<void> {
  for (const waste of Object.keys(WASTE) as Waste[]) {
    say(`making ${count(rows)} rows, free room ${waste}`);
    await makeWaste(server, waste);
  }
  await server.copy(templateOf('scattered'), 'reorganization_capacity');
  const rate = (await capacityOf(server, 'reorganization_capacity', rows)) * LOAD;
  await server.drop('reorganization_capacity');
  const product = await startProduct(server, folder);
  try {
    const bench = { server, product, folder, rate };
    const all: Outcome[] = [];
    for (let round = 0; round < Number(values.rounds); round += 1)
      for (const waste of Object.keys(WASTE) as Waste[])
        for (const method of METHODS) all.push(await measure(bench, waste, method));
    writeFileSync(
      values.out,
      reportOf({ version: server.version, rows, rate, seconds: WINDOW_SECONDS }, all),
    );
    process.exitCode = limitsFor(all).every(({ held }) => held) ? 0 : 1;
  } finally {
    await product.stop();
  }
}

const trouble =
  missingPgbench() ??
  (existsSync(REPACK) ? null : `There is no ${REPACK} (apt-get install postgresql-15-repack).`);
if (trouble !== null) throw new Error(trouble);
const folder = mkdtempSync(join(tmpdir(), 'declutter-reorganization-'));
const server = await startBenchServer();
try {
  await main(server, folder);
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
