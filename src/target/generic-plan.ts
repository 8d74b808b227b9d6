import type { Session } from './session.ts';

/** How PostgreSQL would run a statement whose parameters it does not know. */
export interface GenericPlan {
  /** in the planner's units */
  readonly cost: number;
  /** "Seq Scan on item", "Index Scan using item_pkey": each once, in the order of the plan */
  readonly scans: readonly string[];
}

interface Node {
  readonly 'Node Type': string;
  readonly 'Total Cost': number;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly Node[];
}

const GENERIC_PLAN_VERSION = 160_000;

/** text: one statement, with parameters ($1) as pg_stat_statements writes them. It is planned, and never run. */
export const explainGeneric = (session: Session, text: string): Promise<GenericPlan> =>
  session.transaction(async () => {
    const plan =
      session.serverVersion >= GENERIC_PLAN_VERSION
        ? await explain(session, `EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`)
        : await explainPrepared(session, text);
    return { cost: plan['Total Cost'], scans: [...new Set(scansOf(plan))] };
  });

async function explain(session: Session, text: string): Promise<Node> {
  const [result] = await session.script(text);
  const [{ Plan: plan }] = result?.rows[0]?.['QUERY PLAN'] as [{ Plan: Node }];
  return plan;
}

/** Before PostgreSQL 16 only a prepared statement is planned without its values. */
async function explainPrepared(session: Session, text: string): Promise<Node> {
  // Prepared statements outlive their transaction: one that an error has left goes first.
  await session.script('DEALLOCATE ALL');
  await session.script('SET LOCAL plan_cache_mode = force_generic_plan');
  await session.script(`PREPARE declutter_statement AS ${text}`);
  const [result] = await session.script(
    `SELECT pg_catalog.cardinality(parameter_types) AS count FROM pg_catalog.pg_prepared_statements WHERE name = 'declutter_statement'`,
  );
  const count = Number(result?.rows[0]?.['count']);
  const values = count === 0 ? '' : `(${Array.from({ length: count }, () => 'NULL').join(', ')})`;
  return explain(session, `EXPLAIN (FORMAT JSON) EXECUTE declutter_statement${values}`);
}

function scansOf(node: Node): string[] {
  const { 'Node Type': type, 'Relation Name': relation, 'Index Name': index, Plans: plans = [] } = node;
  const own =
    index !== undefined
      ? [`${type} using ${index}`]
      : relation !== undefined && type.endsWith('Scan')
        ? [`${type} on ${relation}`]
        : [];
  return [...own, ...plans.flatMap(scansOf)];
}
