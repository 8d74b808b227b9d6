import type { TestDatabase } from '../support/postgres.ts';

export interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Total Cost': number;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly Filter?: string;
  readonly Plans?: readonly PlanNode[];
}

/** The nodes of a statement's plan, the topmost first. */
export async function planOf(database: TestDatabase, statement: string): Promise<PlanNode[]> {
  const [row] = await database.run(`EXPLAIN (FORMAT JSON) ${statement}`);
  const [explained] = row!['QUERY PLAN'] as { Plan: PlanNode }[];
  return nodesOf(explained!.Plan);
}

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

export const reads = (plan: readonly PlanNode[], ...types: readonly string[]) =>
  plan.some((node) => types.includes(node['Node Type']));
