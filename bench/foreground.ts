import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parse } from 'graphql';
import type { ApiClient, TypedDocument } from '../src/cli/client/api-client.ts';
import { type RunReport, waitForRun } from '../src/cli/client/follow-run.ts';
import { count } from '../src/cli/client/format.ts';
import {
  PlanPurgeDocument,
  RunDocument,
  StartRunDocument,
  type ThrottleInput,
} from '../src/cli/client/generated/api.ts';
import { type BenchServer, startBenchServer } from './bench-server.ts';
import { INTERLEAVED, makeTemplate } from './bench-table.ts';
import { foregroundReport, limitsFor, type Window } from './foreground-report.ts';
import { NO_REST } from './measure-run.ts';
import { oneBigDelete } from './peers.ts';
import { capacityOf, type Felt, foreground, missingPgbench } from './pgbench.ts';
import { type Product, startProduct } from './product.ts';
import { type Waits, waitsDuring } from './waits-for-us.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '2000000' },
    rounds: { type: 'string', default: '12' },
    seconds: { type: 'string', default: '6' },
    out: { type: 'string', default: join(import.meta.dirname, '..', 'docs', 'foreground.md') },
  },
});
const rows = Number(values.rows);
const seconds = Number(values.seconds);
/** What a copy has written may still be on its way to the disk. */
const SETTLE_MS = 5_000;
/** Not measured: a run begins gently, and learns within some seconds what others notice. So long each window has had the application already. */
const LEAD_SECONDS = 6;

interface Bench {
  readonly server: BenchServer;
  readonly product: Product;
  readonly folder: string;
  readonly rate: number;
}

interface Looked {
  readonly result: Felt;
  readonly waits: Waits;
}

/** Something that goes on beside a window of the application. */
type Beside = (window: () => Promise<Looked>) => Promise<Looked>;

const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

const PAUSE = parse('mutation ($id: ID!) { pauseRun(id: $id) { id } }') as TypedDocument<
  unknown,
  { id: string }
>;
const RESUME = parse('mutation ($id: ID!) { resumeRun(id: $id) { id } }') as TypedDocument<
  unknown,
  { id: string }
>;

/** A fresh copy, with what it reads often in memory. */
async function makeCopy(bench: Bench, database: string): Promise<void> {
  await bench.server.copy('bench_template', database);
  await bench.product.register(database);
  await rest(SETTLE_MS);
  await apply(bench, database);
}

const apply = ({ server, rate, folder }: Bench, database: string, leadSeconds = LEAD_SECONDS) =>
  foreground(server, database, { rows, rate, leadSeconds, seconds, folder });

/** Two windows of the application, alone and beside something, in turn the one and the other first. */
async function measure(
  bench: Bench,
  database: string,
  [name, beside, leadSeconds]: readonly [Window['beside'], Beside, number],
  round: number,
): Promise<Window> {
  // Looking costs the application something too, so both windows are looked at.
  const window = () => waitsDuring(bench.server, database, () => apply(bench, database, leadSeconds));
  const first = round % 2 === 0 ? await window() : null;
  const { result: felt, waits } = await beside(window);
  const { result: alone } = first ?? (await window());
  say(`${name}: p99 ${alone.p99.toFixed(2)} ms alone, ${felt.p99.toFixed(2)} ms beside it`);
  return { beside: name, alone, felt, waits };
}

/** A run that a person has paused, to be let go for each window. */
async function pausedRun(client: ApiClient, database: string, throttle: ThrottleInput): Promise<string> {
  const input = { database, table: 'records', where: INTERLEAVED.filter, limits: { maxShare: 1 }, throttle };
  const { planPurge: plan } = await client.request(PlanPurgeDocument, { input });
  const start = { planId: plan.id, planHash: plan.hash, idempotencyKey: plan.id };
  const { startRun } = await client.request(StartRunDocument, start);
  await client.request(PAUSE, { id: startRun.id });
  await waitForRun(client, startRun.id);
  return startRun.id;
}

async function report(client: ApiClient, id: string): Promise<RunReport> {
  const { run } = await client.request(RunDocument, { id });
  if (!run) throw new Error(`The run ${id} is gone.`);
  return run;
}

/** The run works all the while, and learns before what is measured begins. */
async function besideRun({ product }: Bench, runId: string, window: () => Promise<Looked>): Promise<Looked> {
  const client = await product.client();
  const { rowsDeleted } = (await report(client, runId)).result;
  await client.request(RESUME, { id: runId });
  const looked = await window();
  const { state, result, throttle } = await report(client, runId);
  if (state !== 'RUNNING') throw new Error(`The run was ${state} when the window ended.`);
  say(
    `  ${count(result.rowsDeleted - rowsDeleted)} rows purged; ${throttle.reason ?? 'nothing held it back'}`,
  );
  await client.request(PAUSE, { id: runId });
  await waitForRun(client, runId);
  return looked;
}

/** The window begins when the run has, which may end within it. */
async function besideAll(bench: Bench, database: string, window: () => Promise<Looked>): Promise<Looked> {
  const client = await bench.product.client();
  const id = await pausedRun(client, database, NO_REST);
  await client.request(RESUME, { id });
  const looked = await window();
  const { state, stateReason } = await waitForRun(client, id);
  if (state !== 'SUCCEEDED') throw new Error(`The run is ${state}: ${stateReason ?? ''}`);
  return looked;
}

/** One run with the default throttle, let go and paused in turns, and windows with nothing beside them, which show the noise. */
async function measureDefault(bench: Bench): Promise<Window[]> {
  const database = 'foreground_default';
  await makeCopy(bench, database);
  const runId = await pausedRun(await bench.product.client(), database, {});
  const windows: Window[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    windows.push(await measure(bench, database, ['nothing', (window) => window(), LEAD_SECONDS], round));
    const run: Beside = (window) => besideRun(bench, runId, window);
    windows.push(await measure(bench, database, ['default throttle', run, LEAD_SECONDS], round));
  }
  await bench.server.drop(database);
  return windows;
}

/** What takes all at once, on a fresh copy each time. */
async function measurePeers(bench: Bench): Promise<Window[]> {
  const windows: Window[] = [];
  for (let round = 0; round < 4; round += 1) {
    const database = `foreground_peer_${round}`;
    await makeCopy(bench, database);
    const noRest: Beside = (window) => besideAll(bench, database, window);
    const one: Beside = async (window) =>
      (await Promise.all([window(), oneBigDelete(bench.server, database, INTERLEAVED)]))[0];
    const peer = round % 2 === 0 ? (['no rest', noRest, 0] as const) : (['one DELETE', one, 0] as const);
    windows.push(await measure(bench, database, peer, 0));
    await bench.server.drop(database);
  }
  return windows;
}

async function main(server: BenchServer, folder: string): Promise<void> {
  say(`making ${count(rows)} rows`);
  await makeTemplate(server, 'bench_template', rows);
  const client = await server.connect('bench_template');
  await client.query(`SELECT setval(pg_get_serial_sequence('public.records', 'id'), ${rows})`);
  await client.end();
  await server.copy('bench_template', 'foreground_capacity');
  const rate = (await capacityOf(server, 'foreground_capacity', rows)) / 2;
  await server.drop('foreground_capacity');
  say(`half of what it can do: ${count(Math.round(rate))} transactions a second`);
  const product = await startProduct(server, folder);
  try {
    const bench = { server, product, folder, rate };
    const windows = [...(await measureDefault(bench)), ...(await measurePeers(bench))];
    writeFileSync(values.out, foregroundReport({ rate, rows, seconds }, windows));
    process.exitCode = limitsFor(windows).every(({ held }) => held) ? 0 : 1;
  } finally {
    await product.stop();
  }
}

const trouble = missingPgbench();
if (trouble !== null) throw new Error(trouble);
const folder = mkdtempSync(join(tmpdir(), 'declutter-foreground-'));
const server = await startBenchServer();
try {
  await main(server, folder);
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
