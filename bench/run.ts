import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { count } from '../src/cli/client/format.ts';
import { type BenchServer, startBenchServer } from './bench-server.ts';
import { CLUSTERED, INTERLEAVED, makeTemplate, type Selection } from './bench-table.ts';
import { demoQueries } from './demo-queries.ts';
import { measureRun } from './measure-run.ts';
import { type Measured, oneBigDelete, scriptedArchive, usualLoop } from './peers.ts';
import { type Product, startProduct } from './product.ts';
import { type Contest, limitsOf, reportOf, type Results } from './report.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '3000000' },
    'few-rows': { type: 'string', default: '1000000' },
    'many-rows': { type: 'string', default: '10000000' },
    rounds: { type: 'string', default: '2' },
    out: { type: 'string', default: join(import.meta.dirname, '..', 'docs', 'benchmarks.md') },
  },
});

interface Bench {
  readonly server: BenchServer;
  readonly product: Product;
  readonly folder: string;
}

const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

let copies = 0;

/** A fresh copy of the table for one measurement, then gone. */
async function onCopy<T>(
  { server }: Bench,
  template: string,
  work: (database: string) => Promise<T>,
): Promise<T> {
  copies += 1;
  const database = `bench_${copies}`;
  await server.copy(template, database);
  const result = await work(database);
  await server.drop(database);
  return result;
}

async function ours(bench: Bench, template: string, kind: 'PURGE' | 'ARCHIVE', selection: Selection) {
  return onCopy(bench, template, async (database) => {
    await bench.product.register(database);
    const measured = await measureRun(bench.product, bench.server, database, kind, selection);
    say(
      `${kind} ${selection.name}: ${count(measured.rows / measured.seconds)} rows/s, p99 ${measured.p99.toFixed(1)} ms`,
    );
    return measured;
  });
}

async function peer(name: string, work: Promise<Measured>): Promise<Measured> {
  const measured = await work;
  say(`${name}: ${count(measured.rows / measured.seconds)} rows/s`);
  return measured;
}

/** Seconds after which the usual loop is given up beside an old snapshot: it comes to an end in some minutes. */
const LOOP_SECONDS = 600;

/** Work beside a session that keeps a snapshot from before it, as a report or a backup does. */
async function besideOldSnapshot<T>(server: BenchServer, database: string, work: () => Promise<T>) {
  const reader = await server.connect(database);
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_catalog.pg_class');
  const result = await work();
  await reader.end();
  return result;
}

async function oldSnapshotContest(bench: Bench): Promise<Contest> {
  const { server, product } = bench;
  const [looped, run] = [[] as Measured[], [] as Contest['ours'][number][]];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    looped.push(
      await onCopy(bench, 'bench_template', (database) =>
        besideOldSnapshot(server, database, () =>
          peer('usual loop', usualLoop(server, database, INTERLEAVED, LOOP_SECONDS)),
        ),
      ),
    );
    run.push(
      await onCopy(bench, 'bench_template', async (database) => {
        await product.register(database);
        return besideOldSnapshot(server, database, () =>
          measureRun(product, server, database, 'PURGE', INTERLEAVED),
        );
      }),
    );
  }
  return { selection: INTERLEAVED.name, peer: looped, ours: run };
}

/** A B A B: what changes on the machine meanwhile meets both. */
async function contest(
  bench: Bench,
  kind: 'PURGE' | 'ARCHIVE',
  selection: Selection,
  opponent: (database: string) => Promise<Measured>,
): Promise<Contest> {
  const results = {
    selection: selection.name,
    peer: [] as Measured[],
    ours: [] as Contest['ours'][number][],
  };
  for (let round = 0; round < Number(values.rounds); round += 1) {
    results.peer.push(
      await onCopy(bench, 'bench_template', (database) => peer(`peer of ${kind}`, opponent(database))),
    );
    results.ours.push(await ours(bench, 'bench_template', kind, selection));
  }
  return results;
}

/** How speed and memory follow the number of rows: each size in turn, then in turn back. */
async function measureSizes(bench: Bench, sizes: readonly number[]): Promise<Results['sizes']> {
  const measured = sizes.map((rows): Results['sizes'][number] => ({
    rows,
    memory: [],
    purge: [],
    archive: [],
  }));
  const rounds = Array.from({ length: Number(values.rounds) }, (_, i) =>
    i % 2 === 0 ? measured : measured.toReversed(),
  );
  for (const one of rounds.flat()) {
    await bench.product.restartWorker();
    one.purge.push(await ours(bench, `bench_sized_${one.rows}`, 'PURGE', INTERLEAVED));
    one.archive.push(await ours(bench, `bench_sized_${one.rows}`, 'ARCHIVE', CLUSTERED));
    one.memory.push(bench.product.workerMemory());
    say(`memory at ${count(one.rows)} rows: peak ${one.memory.at(-1)?.peak.toFixed(0)} MB`);
  }
  return measured;
}

async function measureAll(bench: Bench): Promise<Results> {
  const rows = Number(values.rows);
  say(`making ${count(rows)} rows`);
  await makeTemplate(bench.server, 'bench_template', rows);
  const bigDelete = (selection: Selection) => (database: string) =>
    oneBigDelete(bench.server, database, selection);
  const purges = [
    await contest(bench, 'PURGE', INTERLEAVED, bigDelete(INTERLEAVED)),
    await contest(bench, 'PURGE', CLUSTERED, bigDelete(CLUSTERED)),
  ];
  const archive = await contest(bench, 'ARCHIVE', INTERLEAVED, (database) =>
    scriptedArchive(bench.server, database, INTERLEAVED, join(bench.folder, 'scripted.jsonl')),
  );
  const oldSnapshot = await oldSnapshotContest(bench);
  await bench.server.drop('bench_template');
  const sizes = [Number(values['few-rows']), rows, Number(values['many-rows'])];
  for (const size of sizes) {
    say(`making ${count(size)} rows`);
    await makeTemplate(bench.server, `bench_sized_${size}`, size);
  }
  const followed = await measureSizes(bench, sizes);
  say('playing the demo');
  const demo = await demoQueries();
  return { version: bench.server.version, rows, purges, archive, oldSnapshot, sizes: followed, demo };
}

const folder = mkdtempSync(join(tmpdir(), 'declutter-bench-'));
const server = await startBenchServer();
try {
  const product = await startProduct(server, folder);
  try {
    const results = await measureAll({ server, product, folder });
    const limits = limitsOf(results);
    writeFileSync(values.out, reportOf(results, limits));
    for (const { what, wanted, measured, held } of limits) {
      say(`${held ? 'held  ' : 'MISSED'} ${what}: ${measured} (wanted: ${wanted})`);
    }
    process.exitCode = limits.every(({ held }) => held) ? 0 : 1;
  } finally {
    await product.stop();
  }
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
