import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  AnalyzeDatabaseDocument,
  BloatOverviewDocument,
  type BloatOverviewQuery,
} from '../src/cli/client/generated/api.ts';
import {
  type AnalysisContest,
  analysisLimits,
  analysisReport,
  type AnalysisResults,
} from './analysis-report.ts';
import { type BenchServer, startBenchServer } from './bench-server.ts';
import { bareQueries } from './bare-queries.ts';
import { makeManyTables, makePublicSchema } from './many-tables.ts';
import { type Product, startProduct } from './product.ts';

const { values } = parseArgs({
  options: {
    tables: { type: 'string', default: '2000' },
    'many-tables': { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    out: { type: 'string', default: 'docs/analysis-speed.md' },
  },
});
const rounds = Number(values.rounds);

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

/** A B A B: what changes on the machine meanwhile meets both. */
async function contest(
  server: BenchServer,
  product: Product,
  name: string,
  tables: number,
): Promise<AnalysisContest> {
  const sum = { tables, bare: 0, analysis: 0, pages: 0 };
  for (let round = 0; round < rounds; round += 1) {
    const bare = await bareQueries(server, name);
    const [analysis, pages] = await analyzeAndRead(product, name, tables);
    sum.bare += bare;
    sum.analysis += analysis;
    sum.pages += pages;
    say(`${name}: bare ${bare.toFixed(2)} s, analysis ${analysis.toFixed(2)} s, pages ${pages.toFixed(2)} s`);
  }
  return sum;
}

async function contestOf(server: BenchServer, product: Product, name: string, tables: number) {
  await product.register(name);
  return contest(server, product, name, tables);
}

async function measureAll(server: BenchServer, product: Product): Promise<AnalysisResults> {
  const few = Number(values.tables);
  const lots = Number(values['many-tables']);
  say(`making ${few} and ${lots} tables`);
  await makeManyTables(server, 'some_tables', few);
  const idle = product.apiMemory();
  const some = await contestOf(server, product, 'some_tables', few);
  const after = product.apiMemory();
  const publicTables = await makePublicSchema(server, 'public_schema');
  if (publicTables === null) say('no public schema: left out');
  const known =
    publicTables === null ? null : await contestOf(server, product, 'public_schema', publicTables);
  await makeManyTables(server, 'many_tables', lots);
  const many = await contestOf(server, product, 'many_tables', lots);
  return { version: server.version, rounds, some, many, known, idle, after };
}

const folder = mkdtempSync(join(tmpdir(), 'declutter-bench-'));
const server = await startBenchServer();
try {
  const product = await startProduct(server, folder);
  try {
    const results = await measureAll(server, product);
    const limits = analysisLimits(results);
    writeFileSync(values.out, analysisReport(results, limits));
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
