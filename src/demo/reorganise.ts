import type { FindingLine } from '../cli/client/findings-command.ts';
import { PlanReindexDocument, PlanReorganizationDocument } from '../cli/client/generated/api.ts';
import { sql } from '../target/sql.ts';
import { carryOut, showPlanInShort } from './carry-out.ts';
import type { Stage } from './stage.ts';

/** Frees the dead rows, brings the statistics up to date and rebuilds the indexes that have become too large. */
export async function reorganise(stage: Stage, findings: readonly FindingLine[]): Promise<void> {
  for (const table of ['events', 'sessions', 'carts']) await reorganiseTable(stage, table, 'VACUUM');
  await reorganiseTable(stage, 'orders', 'ANALYZE');
  const bloated = findings
    .filter((finding) => finding.kind === 'INDEX_BLOAT')
    .map((finding) => finding.table ?? '');
  for (const table of new Set(['events', 'sessions', ...bloated])) await reindexTable(stage, table);
}

async function reorganiseTable(stage: Stage, table: string, method: 'VACUUM' | 'ANALYZE'): Promise<void> {
  const { planReorganization: plan } = await stage.as.operator.request(PlanReorganizationDocument, {
    input: { database: stage.database, table, method },
  });
  showPlanInShort(stage, plan);
  await carryOut(stage, plan);
}

async function reindexTable(stage: Stage, table: string): Promise<void> {
  const { planReindex: plan } = await stage.as.operator.request(PlanReindexDocument, {
    input: { database: stage.database, table },
  });
  showPlanInShort(stage, plan);
  const before = await indexBytes(stage, table);
  await carryOut(stage, plan);
  const after = await indexBytes(stage, table);
  stage.checks.holds(`the indexes of ${table} are smaller than they were`, after < before);
  const { invalid } = await stage.shop.one<{ invalid: number }>(
    sql`SELECT count(*)::int4 AS invalid FROM pg_catalog.pg_index WHERE NOT indisvalid`,
  );
  stage.checks.same('invalid indexes left behind', { counted: invalid, wanted: 0 });
}

async function indexBytes(stage: Stage, table: string): Promise<number> {
  const { size } = await stage.shop.one<{ size: number }>(
    sql`SELECT pg_catalog.pg_indexes_size(${`public.${table}`}::regclass)::float8 AS size`,
  );
  return size;
}
