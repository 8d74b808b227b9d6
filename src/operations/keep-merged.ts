import type { ArchiveContent, LostReference } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import type { MergeEdge, MergeGraph } from '../target/merge-graph.ts';
import { PLACE, pairsOf, repointedRows } from '../target/merge-sql.ts';
import { references } from '../target/reached-tables.ts';
import { isOneOf } from '../target/row-pairs.ts';
import { ident, join, type Sql, sql } from '../target/sql.ts';
import { liveEdges, type Merge, type MergedTable } from '../target/trace-merge.ts';
import { partOf } from '../domain/archive-tables.ts';
import type { PartKeeper } from './keep-parts.ts';

/** Keeps the rows of a merge that go, of every table, and the references that others have before they are changed. All are locked. */
export async function keepMerged(
  keeper: PartKeeper,
  content: ArchiveContent,
  graph: MergeGraph,
  merge: Merge,
  partNumber: (oid: number) => number,
): Promise<void> {
  for (const table of merge.tables) {
    if (table.gone.length > 0) await keepGone(keeper, content, table, partNumber(table.relation.oid));
  }
  for (const { number, schema, table, reference } of content.parts ?? []) {
    if (reference === null) continue;
    const edge = graph.edges.find(
      ({ key, child }) => key.oid === reference.oid && child.schema === schema && child.name === table,
    );
    if (edge) await keepReferences(keeper, number, reference, graph, merge, edge);
  }
}

async function keepGone(
  keeper: PartKeeper,
  content: ArchiveContent,
  { relation, gone }: MergedTable,
  part: number,
): Promise<void> {
  const columns = partOf(content, part).columns.map(({ name }) => ident(name));
  const places = gone.map((pair) => pair.gone);
  const rows = await keeper.keep(
    part,
    sql`SELECT ${join(columns, ', ')} FROM ONLY ${ident(relation.schema, relation.name)} WHERE ${isOneOf(sql`ctid`, places)}`,
  );
  if (rows === places.length) return;
  throw new Stop(
    'ROWS_KEPT',
    `Of ${places.length} rows of ${relation.schema}.${relation.name} that were locked ${rows} could be copied. Nothing of this batch is changed.`,
  );
}

/** A row is named by its key as it will be: that is how it is found when its reference is to be set back. */
async function keepReferences(
  keeper: PartKeeper,
  part: number,
  { identity, changed }: LostReference,
  graph: MergeGraph,
  merge: Merge,
  edge: MergeEdge,
): Promise<void> {
  const tableOf = (oid: number) => merge.tables.find(({ relation }) => relation.oid === oid);
  const [child, parent] = [tableOf(edge.child.oid), tableOf(edge.parent.oid)];
  if (!child || !parent || child.repointed.length === 0 || parent.gone.length === 0) return;
  const edges = liveEdges(graph, merge, edge.child);
  const parents = new Map(edges.map((one) => [one.parent.oid, one.parent]));
  const pairs = [...parents.values()].map((one) => pairsOf(one, tableOf(one.oid)?.gone ?? [], edges));
  const columns = [
    ...identity.map((name) => sql`fresh.${ident(name)}`),
    ...changed.map((name) => sql`child.${ident(name)}`),
    ...changed.map((name) => sql`fresh.${ident(name)}`),
  ];
  await keeper.keep(
    part,
    sql`WITH ${join(pairs, ', ')}
      SELECT ${join(columns, ', ')} FROM (${repointedRows(edge.child, edges, child.repointed)}) AS fresh
        JOIN ONLY ${ident(edge.child.schema, edge.child.name)} AS child ON child.ctid OPERATOR(pg_catalog.=) fresh.${PLACE}
       WHERE EXISTS (SELECT FROM ONLY ${ident(edge.parent.schema, edge.parent.name)} AS parent
                      WHERE ${isOneOf(
                        sql`parent.ctid`,
                        parent.gone.map(({ gone }) => gone),
                      )} AND ${referencesOf(edge)})`,
  );
}

const referencesOf = (edge: MergeEdge): Sql => references(edge, ident('parent'), ident('child'));
