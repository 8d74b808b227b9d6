import type { Pick } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { ident, type Sql, sql } from '../target/sql.ts';
import { explain, type PlanNode } from './budget.ts';
import type { PlanContext } from './plan-context.ts';

/** A larger share is found faster by reading the heap once, block by block (docs/benchmarks.md). */
export const MAX_INDEX_SHARE = 0.05;
/** The list of places is kept in memory, six bytes each. */
export const MAX_INDEX_ROWS = 2_000_000;

export interface ChosenPick {
  readonly pick: Pick;
  readonly why: string;
}

/** Small and within an index's reach: by index. Else by block ranges, which no old snapshot can slow down. */
export async function choosePick(
  { session }: PlanContext,
  relation: Relation,
  filter: Sql,
  counted: { readonly rows: number; readonly share: number },
): Promise<ChosenPick> {
  const percent = `${(counted.share * 100).toPrecision(2)} %`;
  if (counted.share >= MAX_INDEX_SHARE || counted.rows > MAX_INDEX_ROWS) {
    return {
      pick: 'HEAP_RANGES',
      why: `${percent} of the rows match: the table is read once, block by block`,
    };
  }
  const table = ident(relation.schema, relation.name);
  const { plan } = await explain(session, sql`SELECT ctid FROM ONLY ${table} WHERE ${filter}`, true);
  const index = indexOf(plan);
  if (index === null) {
    return {
      pick: 'HEAP_RANGES',
      why: `only ${percent} of the rows match, but no index leads to them: the table is read once, block by block`,
    };
  }
  return { pick: 'INDEX', why: `${percent} of the rows match: they are found through the index ${index}` };
}

function indexOf(node: PlanNode): string | null {
  if (node['Index Cond'] !== undefined && node['Index Name'] !== undefined) return node['Index Name'];
  for (const child of node.Plans ?? []) {
    const index = indexOf(child);
    if (index !== null) return index;
  }
  return null;
}
