import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  AnalyzeDatabaseDocument,
  BloatOverviewDocument,
  type BloatOverviewQuery,
} from '../src/cli/client/generated/api.ts';
import { type BenchServer, startBenchServer } from './bench-server.ts';
import { bareQueries } from './bare-queries.ts';
import { makeManyTables, makePublicSchema } from './many-tables.ts';
import { type Product, startProduct } from './product.ts';

const { values } = parseArgs({
  options: {
    tables: { type: 'string', default: '2000' },
    'many-tables': { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
  },
});

const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

/** Seconds for a snapshot, and for all pages of its tables. */
async function analyzeAndRead(product: Product, name: string, expected: number): Promise<[number, number]> {
  const client = await product.client();
  const started = performance.now();
  await client.request(AnalyzeDatabaseDocument, { name, exact: false });
  const analyzed = performance.now();
  let seen = 0;
  for (let after: string | null = null, more = true; more;) {
    const page: BloatOverviewQuery = await client.request(BloatOverviewDocument, {
      database: name,
      orderBy: 'TOTAL_BYTES',
      first: 100,
      after,
    });
    const tables = page.database?.tables;
    seen += tables?.nodes.length ?? 0;
    more = tables?.pageInfo.hasNextPage ?? false;
    after = tables?.pageInfo.endCursor ?? null;
  }
  if (seen < expected) throw new Error(`${seen} tables were listed of ${expected}.`);
  return [(analyzed - started) / 1000, (performance.now() - analyzed) / 1000];
}

interface Contest {
  readonly bare: number;
  readonly ours: number;
}

/** A B A B: what changes on the machine meanwhile meets both. */
async function contest(
  server: BenchServer,
  product: Product,
  name: string,
  tables: number,
): Promise<Contest> {
  const sum = { bare: 0, ours: 0 };
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const bare = await bareQueries(server, name);
    const [analysis, pages] = await analyzeAndRead(product, name, tables);
    sum.bare += bare;
    sum.ours += analysis + pages;
    say(`${name}: bare ${bare.toFixed(2)} s, analysis ${analysis.toFixed(2)} s, pages ${pages.toFixed(2)} s`);
  }
  return sum;
}

function report(what: string, wanted: string, measured: string, held: boolean): boolean {
  say(`${held ? 'held  ' : 'MISSED'} ${what}: ${measured} (wanted: ${wanted})`);
  return held;
}

async function measureAll(server: BenchServer, product: Product): Promise<boolean> {
  const few = Number(values.tables);
  const many = Number(values['many-tables']);
  say(`making ${few} and ${many} tables`);
  await makeManyTables(server, 'some_tables', few);
  await product.register('some_tables');
  const some = await contest(server, product, 'some_tables', few);
  const memory = product.apiMemory();
  const publicTables = await makePublicSchema(server, 'public_schema');
  if (publicTables === null) say('no public schema: left out');
  else {
    await product.register('public_schema');
    const known = await contest(server, product, 'public_schema', publicTables);
    say(`${publicTables} tables of a public application: ${(known.ours / known.bare).toFixed(2)} times`);
  }
  await makeManyTables(server, 'many_tables', many);
  await product.register('many_tables');
  const most = await contest(server, product, 'many_tables', many);
  const ratio = some.ours / some.bare;
  const growth = most.ours / some.ours / (many / few);
  return [
    report(
      'analysis and all pages against the bare queries',
      '2 times or less',
      `${ratio.toFixed(2)} times`,
      ratio <= 2,
    ),
    report('peak memory of the API', 'under 150 MB', `${memory.peak.toFixed(0)} MB`, memory.peak < 150),
    report(
      `time per table at ${many} tables`,
      '1.3 times or less',
      `${growth.toFixed(2)} times`,
      growth <= 1.3,
    ),
  ].every(Boolean);
}

const folder = mkdtempSync(join(tmpdir(), 'declutter-bench-'));
const server = await startBenchServer();
try {
  const product = await startProduct(server, folder);
  try {
    process.exitCode = (await measureAll(server, product)) ? 0 : 1;
  } finally {
    await product.stop();
  }
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
