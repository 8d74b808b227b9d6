import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { count } from '../src/cli/client/format.ts';
import { type BenchServer, startBenchServer } from './bench-server.ts';
import { CLUSTERED, INTERLEAVED, makeTemplate, type Selection } from './bench-table.ts';
import { measureRun } from './measure-run.ts';
import { type Measured, oneBigDelete, scriptedArchive } from './peers.ts';
import { type Product, startProduct } from './product.ts';
import { type Contest, limitsOf, reportOf, type Results } from './report.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '3000000' },
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

async function memoryAfter(bench: Bench, template: string, rows: number) {
  await bench.product.restartWorker();
  await ours(bench, template, 'PURGE', INTERLEAVED);
  await ours(bench, template, 'ARCHIVE', CLUSTERED);
  const memory = bench.product.workerMemory();
  say(`memory at ${count(rows)} rows: peak ${memory.peak.toFixed(0)} MB`);
  return { rows, memory };
}

async function measureAll(bench: Bench): Promise<Results> {
  const rows = Number(values.rows);
  const many = Number(values['many-rows']);
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
  const small = await memoryAfter(bench, 'bench_template', rows);
  await bench.server.drop('bench_template');
  say(`making ${count(many)} rows`);
  await makeTemplate(bench.server, 'bench_many', many);
  const large = await memoryAfter(bench, 'bench_many', many);
  return { version: bench.server.version, rows, purges, archive, memory: [small, large] };
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
