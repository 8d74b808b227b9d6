import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { waitForRun } from '../src/cli/client/follow-run.ts';
import { count } from '../src/cli/client/format.ts';
import { PlanPurgeDocument, StartRunDocument, type ThrottleInput } from '../src/cli/client/generated/api.ts';
import { type BenchServer, startBenchServer } from './bench-server.ts';
import { INTERLEAVED, makeTemplate } from './bench-table.ts';
import { NO_REST } from './measure-run.ts';
import { oneBigDelete } from './peers.ts';
import { capacityOf, type Felt, foreground, missingPgbench } from './pgbench.ts';
import { type Product, startProduct } from './product.ts';
import type { Limit } from './report.ts';
import { type Waits, waitsDuring } from './waits-for-us.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '2000000' },
    rounds: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '5' },
    out: { type: 'string', default: join(import.meta.dirname, '..', 'docs', 'foreground.md') },
  },
});
const rows = Number(values.rows);
const seconds = Number(values.seconds);
/** The run goes on for the whole window, and pauses by itself soon after. */
const RUN_SECONDS = seconds + 3;
/** What is read first has to come from the disk. */
const WARM_UP_SECONDS = 2;
/** A worker takes a run within this; its first batches are gentle. */
const TAKEN_MS = 1_500;
/** Of the most that a batch may take by default, and what writing a segment may take beyond. */
const LONGEST_WAIT_MS = 5_000;

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
type Pair = [alone: Looked, beside: Looked];
type Beside = 'nothing' | 'default throttle' | 'no rest' | 'one DELETE';
interface Window {
  readonly beside: Beside;
  readonly alone: Felt;
  readonly felt: Felt;
  readonly waits: Waits;
}

const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

/** Alone and beside something, in turn the one and the other first, on the same fresh copy. */
async function measure(bench: Bench, beside: Beside, round: number): Promise<Window> {
  const database = `foreground_${beside.replaceAll(' ', '_').toLowerCase()}_${round}`;
  await bench.server.copy('bench_template', database);
  if (beside !== 'nothing') await bench.product.register(database);
  const { server, rate, folder } = bench;
  const apply = (length = seconds) => foreground(server, database, { rows, rate, seconds: length, folder });
  await apply(WARM_UP_SECONDS);
  // Looking costs the application something too, so both windows are looked at.
  const look = (work: () => Promise<Felt>) => waitsDuring(server, database, work);
  const besideIt = () => look(() => during(bench, database, beside, apply));
  const inTurn = round % 2 === 0 ? [() => look(apply), besideIt] : [besideIt, () => look(apply)];
  const windows = [];
  for (const window of inTurn) windows.push(await window());
  const [{ result: alone }, { result, waits }] = (round % 2 === 0 ? windows : windows.reverse()) as Pair;
  await server.drop(database);
  say(`${beside}: p99 ${alone.p99.toFixed(2)} ms alone, ${result.p99.toFixed(2)} ms beside it`);
  return { beside, alone, felt: result, waits };
}

async function during(
  bench: Bench,
  database: string,
  beside: Beside,
  apply: () => Promise<Felt>,
): Promise<Felt> {
  if (beside === 'nothing') return apply();
  if (beside === 'one DELETE') {
    const [felt] = await Promise.all([apply(), oneBigDelete(bench.server, database, INTERLEAVED)]);
    return felt;
  }
  return besideRun(bench, database, beside === 'no rest' ? NO_REST : {}, apply);
}

/** The window begins when the run has begun; the run ends before the next one. */
async function besideRun(
  { product }: Bench,
  database: string,
  throttle: ThrottleInput,
  apply: () => Promise<Felt>,
): Promise<Felt> {
  const client = await product.client();
  const limits = { maxShare: 1, maxDuration: `PT${RUN_SECONDS}S` };
  const input = { database, table: 'records', where: INTERLEAVED.filter, limits, throttle };
  const { planPurge: plan } = await client.request(PlanPurgeDocument, { input });
  const start = { planId: plan.id, planHash: plan.hash, idempotencyKey: plan.id };
  const { startRun } = await client.request(StartRunDocument, start);
  const ended = waitForRun(client, startRun.id, { pollMs: 20_000 });
  await rest(TAKEN_MS);
  const felt = await apply();
  const { state, stateReason, result } = await ended;
  if (state !== 'SUCCEEDED' && state !== 'PAUSED')
    throw new Error(`The run is ${state}: ${stateReason ?? ''}`);
  say(`  ${count(result.rowsDeleted)} rows purged`);
  return felt;
}

const median = (all: readonly number[]): number =>
  [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN;

const ratios = (windows: readonly Window[], beside: Beside, of: keyof Felt): number =>
  median(windows.filter((one) => one.beside === beside).map(({ felt, alone }) => felt[of] / alone[of]));

async function measureAll(bench: Bench): Promise<Window[]> {
  const windows: Window[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const beside of ['nothing', 'default throttle'] as const)
      windows.push(await measure(bench, beside, round));
    if (round < 2) {
      for (const beside of ['no rest', 'one DELETE'] as const)
        windows.push(await measure(bench, beside, round));
    }
  }
  return windows;
}

const limit = (what: string, wanted: string, measured: string, held: boolean): Limit => ({
  what,
  wanted,
  measured,
  held,
});

function limitsFor(windows: readonly Window[]): Limit[] {
  const ours = windows.filter(({ beside }) => beside === 'default throttle' || beside === 'no rest');
  const waited = Math.max(...ours.map(({ waits }) => waits.longestMs));
  const killed = ours.reduce((sum, { waits }) => sum + waits.killed, 0);
  const p99 = ratios(windows, 'default throttle', 'p99');
  const [slow, wait] = [`${p99.toFixed(2)} times`, `${waited.toFixed(0)} ms`];
  return [
    limit(
      'p99 beside a run with the default throttle',
      '1.25 times its p99 alone, or less',
      slow,
      p99 <= 1.25,
    ),
    limit('the longest that a session waited for a run', 'a batch and 2 s', wait, waited <= LONGEST_WAIT_MS),
    limit('sessions of the application that were ended', 'none', String(killed), killed === 0),
  ];
}

const limitRows = (limits: readonly Limit[]): string =>
  limits
    .map(
      ({ what, wanted, measured, held }) =>
        `| ${what} | ${wanted} | ${measured} | ${held ? 'held' : '**missed**'} |`,
    )
    .join('\n');

function reportOf({ rate }: Bench, windows: readonly Window[]): string {
  const line = (beside: Beside) => {
    const of = windows.filter((one) => one.beside === beside);
    const ratio = (which: keyof Felt) => ratios(windows, beside, which).toFixed(2);
    const longest = Math.max(...of.map(({ felt }) => felt.longest));
    return `| ${beside} | ${of.length} | ${ratio('p50')} | ${ratio('p95')} | ${ratio('p99')} | ${longest.toFixed(0)} |`;
  };
  return `# What the application feels

Made by \`npm run bench:foreground\`: pgbench at half of what this machine can do (${count(rate)} transactions a second; scripts in \`bench/foreground\`) on a
table of ${count(rows)} rows of which three tenths are purged, spread over the heap. Each round takes a fresh copy and two windows of ${seconds} s: the
application alone, and beside something. Ratios are medians over the rounds; that of nothing is the noise.

| beside it | rounds | p50 | p95 | p99 | longest ms |
|---|---|---|---|---|---|
${(['nothing', 'default throttle', 'no rest', 'one DELETE'] as const).map(line).join('\n')}

| what | wanted | measured | |
|---|---|---|---|
${limitRows(limitsFor(windows))}
`;
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
  const product = await startProduct(server, folder);
  try {
    const bench = { server, product, folder, rate };
    const windows = await measureAll(bench);
    writeFileSync(values.out, reportOf(bench, windows));
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
