import type { FindingLine } from '../cli/client/findings-command.ts';
import { bytes } from '../cli/client/format.ts';
import { PlanReorganizationDocument } from '../cli/client/generated/api.ts';
import { sql } from '../target/sql.ts';
import { carryOut, IN_A_HURRY, type Plan, showPlanInShort } from './carry-out.ts';
import type { Stage } from './stage.ts';

/** Lets AUTO choose, table by table, until there is nothing left to do: dead rows first, then free space, indexes, statistics. */
export async function reorganise(stage: Stage, findings: readonly FindingLine[]): Promise<void> {
  const bloated = findings
    .filter((finding) => finding.kind === 'INDEX_BLOAT')
    .map((finding) => finding.table ?? '');
  const cleaned = ['events', 'sessions', 'carts'];
  for (const table of new Set([...cleaned, 'orders', ...bloated])) {
    const before = await sizeOf(stage, table);
    const rounds = await putInOrder(stage, table);
    stage.checks.holds(`${table} is in order after ${rounds} runs`, rounds < MOST_RUNS);
    if (!cleaned.includes(table)) continue;
    const after = await sizeOf(stage, table);
    stage.checks.holds(`${table} is smaller on the disk: ${bytes(before)} → ${bytes(after)}`, after < before);
  }
  const { invalid } = await stage.shop.one<{ invalid: number }>(
    sql`SELECT count(*)::int4 AS invalid FROM pg_catalog.pg_index WHERE NOT indisvalid`,
  );
  stage.checks.same('invalid indexes left behind', { counted: invalid, wanted: 0 });
}

const MOST_RUNS = 5;

/** How many runs it took. */
async function putInOrder(stage: Stage, table: string): Promise<number> {
  for (let runs = 0; ; runs += 1) {
    const { planReorganization: plan } = await stage.as.operator.request(PlanReorganizationDocument, {
      input: { database: stage.database, table, method: 'AUTO', throttle: IN_A_HURRY },
    });
    showPlanInShort(stage, plan);
    stage.print(`    ${reasonOf(plan)}`);
    if (runs === MOST_RUNS || plan.warnings.some(({ code }) => code === 'NOTHING_TO_DO')) return runs;
    const run = await carryOut(stage, plan);
    if (run.state !== 'SUCCEEDED') return MOST_RUNS;
  }
}

const reasonOf = ({ warnings, blockers }: Plan): string =>
  [...warnings.filter(({ code }) => code === 'METHOD_CHOSEN' || code === 'NOTHING_TO_DO'), ...blockers]
    .map(({ message }) => message)
    .join(' ');

async function sizeOf(stage: Stage, table: string): Promise<number> {
  const { size } = await stage.shop.one<{ size: number }>(
    sql`SELECT pg_catalog.pg_total_relation_size(${`public.${table}`}::regclass)::float8 AS size`,
  );
  return size;
}
