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
import { type Watched, watched } from './reorganization-watch.ts';
import type { Limit } from './report.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    out: { type: 'string', default: join(import.meta.dirname, '..', 'docs', 'reorganization-speed.md') },
  },
});
const rows = Number(values.rows);
const REPACK = join(binariesOf('debian-15'), 'pg_repack');
/** The application is measured in windows of so many seconds; alone first, then as long as the work takes. */
const WINDOW_SECONDS = 5;
const ALONE_WINDOWS = 3;

/** Three fifths of the rows go: from everywhere, or from the end but for its last twentieth. */
const WASTE = {
  scattered: `id * 48271 % 2147483647 % 10 < 6`,
  'at the end': `id > ${rows * 0.35} AND id <= ${rows * 0.95}`,
} as const;
type Waste = keyof typeof WASTE;
const METHODS = ['VACUUM FULL', 'pg_repack', 'COMPACT, no rest', 'COMPACT'] as const;
type Method = (typeof METHODS)[number];

interface Bench {
  readonly server: BenchServer;
  readonly product: Product;
  readonly folder: string;
  readonly rate: number;
}

interface Outcome extends Watched {
  readonly waste: Waste;
  readonly method: Method;
  /** of what VACUUM FULL makes of the same rows right after, the heap and all with its indexes */
  readonly heapRatio: number;
  readonly totalRatio: number;
  readonly rowsKept: boolean;
  readonly alone: Felt;
  readonly felt: Felt;
}

const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

const median = (all: readonly number[]): number =>
  [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN;

async function measure(bench: Bench, waste: Waste, method: Method): Promise<Outcome> {
  const { server } = bench;
  const database = `reorganization_${waste}_${method}`.replaceAll(/\W+/g, '_').toLowerCase();
  await server.copy(templateOf(waste), database);
  await inDatabase(server, database, 'ANALYZE public.records'); // a copy has no counters of its rows
  await bench.product.register(database);
  const before = await fingerprint(server, database);
  const alone = await windows(bench, database, (done) => done === ALONE_WINDOWS);
  const over = new AbortController();
  const applying = windows(bench, database, () => over.signal.aborted);
  const working = watched(server, database, () => reorganize(bench, database, method)).finally(() =>
    over.abort(),
  );
  const [felt, seen] = await bothOf(applying, working);
  const rowsKept = (await fingerprint(server, database)) === before;
  const ratios = await againstFull(server, database);
  await server.drop(database);
  say(
    `${waste}, ${method}: ${seen.seconds.toFixed(1)} s, ${ratios.heapRatio.toFixed(3)} of VACUUM FULL, stall ${seen.stallMs.toFixed(0)} ms, disk +${seen.peakMb.toFixed(0)} MB, ` +
      `WAL ${seen.walMb.toFixed(0)} MB, lock ${seen.lockMs.toFixed(0)} ms, p99 ${alone.p99.toFixed(2)} -> ${felt.p99.toFixed(2)} ms`,
  );
  return { ...seen, ...ratios, waste, method, rowsKept, alone, felt };
}

/** Neither is left behind when the other fails. */
async function bothOf<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

async function windows(
  { server, rate, folder }: Bench,
  database: string,
  isOver: (done: number) => boolean,
): Promise<Felt> {
  const all: Felt[] = [];
  do
    all.push(
      await foreground(server, database, { rows, rate, leadSeconds: 0, seconds: WINDOW_SECONDS, folder }),
    );
  while (!isOver(all.length));
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

function limitsFor(all: readonly Outcome[]): Limit[] {
  const ours = all.filter(({ method }) => method.startsWith('COMPACT'));
  const gentle = all.filter(({ method }) => method === 'COMPACT');
  const worst = (of: (outcome: Outcome) => number, among = ours) => Math.max(...among.map(of));
  const peer = (of: (outcome: Outcome) => number) =>
    Math.min(...all.filter(({ method }) => !method.startsWith('COMPACT')).map(of));
  const stall = [worst(({ stallMs }) => stallMs, gentle), peer(({ stallMs }) => stallMs)] as const;
  const disk = [worst(({ peakMb }) => peakMb), peer(({ peakMb }) => peakMb)] as const;
  const heap = worst(({ heapRatio }) => heapRatio);
  const lock = worst(({ lockMs }) => lockMs);
  const p99 = worst(({ alone, felt }) => felt.p99 / alone.p99, gentle);
  return [
    {
      what: 'table after COMPACT',
      wanted: '1.1 times VACUUM FULL, or less',
      measured: heap.toFixed(3),
      held: heap <= 1.1,
    },
    {
      what: 'rows',
      wanted: 'all, unchanged',
      measured: ours.every((one) => one.rowsKept) ? 'all' : 'differ',
      held: ours.every((one) => one.rowsKept),
    },
    {
      what: 'a lock that makes readers or writers wait',
      wanted: '100 ms at a time, or less',
      measured: `${lock.toFixed(0)} ms`,
      held: lock <= 100,
    },
    {
      what: 'p99 of the application beside COMPACT',
      wanted: '1.5 times its p99 alone, or less',
      measured: `${p99.toFixed(2)} times`,
      held: p99 <= 1.5,
    },
    {
      what: 'longest stall of a writer',
      wanted: 'less than beside the others',
      measured: `${stall[0].toFixed(0)} ms against ${stall[1].toFixed(0)} ms`,
      held: stall[0] < stall[1],
    },
    {
      what: 'disk at the peak',
      wanted: 'less than the others',
      measured: `${disk[0].toFixed(0)} MB against ${disk[1].toFixed(0)} MB`,
      held: disk[0] < disk[1],
    },
  ];
}

function reportOf({ rate, server }: Bench, all: readonly Outcome[]): string {
  const line = (one: Outcome) =>
    `| ${one.waste} | ${one.method} | ${one.seconds.toFixed(1)} | ${one.walMb.toFixed(0)} | ${one.peakMb.toFixed(0)} | ${one.stallMs.toFixed(0)} | ${one.lockMs.toFixed(0)} | ${one.heapRatio.toFixed(3)} | ${one.totalRatio.toFixed(3)} | ${(one.felt.p99 / one.alone.p99).toFixed(2)} | ${one.felt.longest.toFixed(0)} |`;
  const limit = ({ what, wanted, measured, held }: Limit) =>
    `| ${what} | ${wanted} | ${measured} | ${held ? 'held' : '**missed**'} |`;
  return `# Giving space back

Made by \`npm run bench:reorganization\` on PostgreSQL ${server.version}: a table of ${count(rows)} rows with four indexes, of which three fifths were deleted and vacuumed, all over the table or at its end. Each method gets a fresh
copy. Beside it pgbench works at half of what this machine can do (${count(rate)} transactions a second, windows of ${WINDOW_SECONDS} s), and a probe changes one row after the other. pg_repack ends nobody's session (\`--no-kill-backend\`).
Ratios of size are to what VACUUM FULL makes of the same rows right after; of p99, to the application alone (medians over the windows).

| free room | method | s | WAL MB | disk at the peak, MB | longest stall of the probe, ms | longest exclusive lock, ms | table | with indexes | p99 | longest transaction, ms |
|---|---|---|---|---|---|---|---|---|---|---|
${all.map(line).join('\n')}

| what | wanted | measured | |
|---|---|---|---|
${limitsFor(all).map(limit).join('\n')}

COMPACT by itself rests four fifths of the time and lets VACUUM rest; with a duty cycle of 1 (no rest) it takes as long as it has work. It changes the rows that move in place, so that most of its WAL are images of pages.
`;
}

async function main(server: BenchServer, folder: string): Promise<void> {
  for (const waste of Object.keys(WASTE) as Waste[]) {
    say(`making ${count(rows)} rows, free room ${waste}`);
    await makeWaste(server, waste);
  }
  await server.copy(templateOf('scattered'), 'reorganization_capacity');
  const rate = (await capacityOf(server, 'reorganization_capacity', rows)) / 2;
  await server.drop('reorganization_capacity');
  const product = await startProduct(server, folder);
  try {
    const bench = { server, product, folder, rate };
    const all: Outcome[] = [];
    for (const waste of Object.keys(WASTE) as Waste[])
      for (const method of METHODS) all.push(await measure(bench, waste, method));
    writeFileSync(values.out, reportOf(bench, all));
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
