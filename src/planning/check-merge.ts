import type { OperationSpec, PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import type { MergeEdge, MergeGraph } from '../target/merge-graph.ts';
import { referencingColumns } from '../target/merge-sql.ts';
import type { Reached } from '../target/reached-tables.ts';
import { ident, integer, join, sql, toText } from '../target/sql.ts';
import { destinationNeeds } from './archive-destination.ts';
import { missingRights, type Need, tableNeeds } from './check-rights.ts';
import { checkSubject } from './check-subject.ts';
import { checkIncluded, hiddenRows } from './included-tables.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

type Spec = Extract<OperationSpec, { kind: 'DEDUPLICATION' }>;

export interface Access {
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
  /** whether duplicates can be counted */
  readonly mayCount: boolean;
  /** whether what references them can be read */
  readonly mayRead: boolean;
}

/** All rights at once, and what of the referencing tables cannot be changed; unsafe: what already speaks against the subject. */
export async function checkMergeAccess(
  context: PlanContext,
  graph: MergeGraph,
  spec: Spec,
  unsafe: readonly PlanNotice[],
): Promise<Access> {
  if (unsafe.length > 0) return { blockers: unsafe, warnings: [], mayCount: false, mayRead: false };
  const { subject } = graph;
  const rights = ['SELECT', 'DELETE', 'UPDATE'] as const;
  const archiving = await destinationNeeds(context, spec.destination, subject);
  const referencing = await referencingNeeds(context, graph, spec);
  const blockers = await checkSubject(context, subject, rights, [...archiving, ...referencing]);
  const others = await checkOthers(context, graph, spec);
  const mayCount = blockers.length === 0 || (await checkSubject(context, subject, rights)).length === 0;
  const mayRead =
    mayCount && others.blockers.length === 0 && (await missingRights(context, referencing)).length === 0;
  return { blockers: [...blockers, ...others.blockers], warnings: others.warnings, mayCount, mayRead };
}

async function referencingNeeds(context: PlanContext, graph: MergeGraph, spec: Spec): Promise<Need[]> {
  const needs: Need[] = [];
  for (const child of graph.tables) {
    const edges = edgesOf(graph, child);
    const isSubject = child.oid === graph.subject.oid;
    if (spec.references === 'REFUSE') {
      if (!isSubject)
        needs.push(...(await tableNeeds(context, child, ['SELECT'], 'its rows may reference duplicates')));
      continue;
    }
    const mayGo = (graph.uniqueKeys.get(child.oid) ?? []).length > 0;
    const rights = mayGo ? (['SELECT', 'DELETE'] as const) : (['SELECT'] as const);
    if (!isSubject) needs.push(...(await tableNeeds(context, child, rights, WHY)));
    if (edges.length > 0) needs.push(updateNeed(child, referencingColumns(edges)));
  }
  return needs;
}

const WHY = 'its rows are pointed at those that stay';

const edgesOf = ({ edges }: MergeGraph, { oid }: Relation): MergeEdge[] =>
  edges.filter(({ child }) => child.oid === oid);

function updateNeed(relation: Relation, columns: readonly string[]): Need {
  const right = `UPDATE (${columns.map((column) => toText(ident(column))).join(', ')})`;
  const held = columns.map(
    (column) =>
      sql`pg_catalog.has_column_privilege(${integer(relation.oid)}::pg_catalog.oid, ${column}::pg_catalog.text, 'UPDATE')`,
  );
  return {
    name: nameOf(relation),
    right,
    grant: { right, on: toText(ident(relation.schema, relation.name)) },
    held: sql`SELECT ${join(held, ' AND ')}`,
    why: WHY,
  };
}

/** The other tables: under REFUSE they are only read. */
async function checkOthers(
  context: PlanContext,
  graph: MergeGraph,
  { references }: Spec,
): Promise<Pick<Access, 'blockers' | 'warnings'>> {
  const reached: Reached = { ...graph, deletes: () => false };
  if (references === 'REFUSE') return { blockers: await hiddenRows(context, reached), warnings: [] };
  const { blockers, warnings } = await checkIncluded(context, { ...reached, edges: [] }, null);
  const fixed: PlanNotice[] = [];
  for (const edge of graph.edges) fixed.push(...(await checkColumns(context, edge)));
  return { blockers: [...blockers, ...fixed], warnings };
}

/** Columns that an UPDATE may not set, and those by which it would move a row to another partition. */
async function checkColumns({ session }: PlanContext, { key, child }: MergeEdge): Promise<PlanNotice[]> {
  const fixed = child.columns.filter(
    ({ name, generated, identity }) => key.columns.includes(name) && (generated || identity === 'ALWAYS'),
  );
  const parting = child.isPartition ? await partitionColumns(session, child) : [];
  const moving = key.columns.filter((column) => parting.includes(column));
  return [
    ...(fixed.length === 0
      ? []
      : [
          notice(
            'REFERENCE_FIXED',
            `The foreign key ${key.name} of ${nameOf(child)} is made of columns that cannot be set: ${fixed.map(({ name }) => name).join(', ')}.`,
            'references: REFUSE removes the duplicates that nothing references.',
          ),
        ]),
    ...(moving.length === 0
      ? []
      : [
          notice(
            'REFERENCE_PARTITIONS',
            `${nameOf(child)} is partitioned by ${moving.join(', ')}, which ${key.name} is made of: a re-pointed row would move to another partition.`,
            'references: REFUSE removes the duplicates that nothing references.',
          ),
        ]),
  ];
}

async function partitionColumns(session: PlanContext['session'], { oid }: Relation): Promise<string[]> {
  const rows = await session.query<{ name: string }>(sql`
    SELECT DISTINCT a.attname::pg_catalog.text AS name
      FROM pg_catalog.pg_partition_ancestors(${integer(oid)}::pg_catalog.oid::pg_catalog.regclass) AS up
      JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = up.relid
      JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs) ORDER BY 1`);
  return rows.map(({ name }) => name);
}
