import { Stop } from '../domain/stop.ts';
import type { MergeGraph } from '../target/merge-graph.ts';
import { PLACE, pairsOf, referencingColumns, repointedRows } from '../target/merge-sql.ts';
import { isOneOf } from '../target/row-pairs.ts';
import type { Session } from '../target/session.ts';
import { ident, join, type Sql, sql } from '../target/sql.ts';
import { liveEdges, type Merge, type MergedTable } from '../target/trace-merge.ts';

/**
 * Re-points and deletes all rows of a merge in one statement: each part of it sees the rows where they were locked, keys are
 * checked when it ends, so that circles and RESTRICT are no matter, and PostgreSQL finds nothing left to cascade to.
 */
export async function mergeRows(session: Session, graph: MergeGraph, merge: Merge): Promise<void> {
  const repointed = merge.tables.filter((table) => table.repointed.length > 0);
  const gone = merge.tables.filter((table) => table.gone.length > 0);
  const parts = [
    ...gone.map((table) => pairsOf(table.relation, table.gone, graph.edges)),
    ...repointed.flatMap((table) => [freshRows(graph, merge, table), updateOf(graph, merge, table)]),
    ...gone.map(deletionOf),
  ];
  const names = [
    ...repointed.map(({ relation }) => ident(`set_${relation.oid}`)),
    ...gone.map(({ relation }) => ident(`gone_${relation.oid}`)),
  ];
  const counts = names.map((name) => sql`(SELECT pg_catalog.count(*) FROM ${name})::pg_catalog.int4`);
  const { done } = await session.one<{ done: number[] }>(
    sql`WITH ${join(parts, ', ')} SELECT ARRAY[${join(counts, ', ')}] AS done`,
  );
  const wanted = [
    ...repointed.map((table) => table.repointed.length),
    ...gone.map((table) => table.gone.length),
  ];
  [...repointed, ...gone].forEach(({ relation }, i) => {
    if (done[i] !== wanted[i])
      throw kept(`${relation.schema}.${relation.name}`, wanted[i] ?? 0, done[i] ?? 0);
  });
}

function freshRows(graph: MergeGraph, merge: Merge, { relation, repointed }: MergedTable): Sql {
  const edges = liveEdges(graph, merge, relation);
  return sql`${ident(`fresh_${relation.oid}`)} AS MATERIALIZED (${repointedRows(relation, edges, repointed)})`;
}

function updateOf(graph: MergeGraph, merge: Merge, { relation, repointed }: MergedTable): Sql {
  const columns = referencingColumns(liveEdges(graph, merge, relation));
  const set = columns.map((name) => sql`${ident(name)} = fresh.${ident(name)}`);
  return sql`${ident(`set_${relation.oid}`)} AS (
    UPDATE ONLY ${ident(relation.schema, relation.name)} AS target SET ${join(set, ', ')} FROM ${ident(`fresh_${relation.oid}`)} AS fresh
     WHERE target.ctid OPERATOR(pg_catalog.=) fresh.${PLACE} AND ${isOneOf(sql`target.ctid`, repointed)} RETURNING 1 AS one)`;
}

const deletionOf = ({ relation, gone }: MergedTable): Sql =>
  sql`${ident(`gone_${relation.oid}`)} AS (
    DELETE FROM ONLY ${ident(relation.schema, relation.name)} AS target
     WHERE ${isOneOf(
       sql`target.ctid`,
       gone.map((pair) => pair.gone),
     )} RETURNING 1 AS one)`;

const kept = (table: string, wanted: number, done: number): Stop =>
  new Stop(
    'ROWS_KEPT',
    `Of ${wanted} rows of ${table} that were to go or to be re-pointed ${done} did: a BEFORE trigger keeps the rest. ` +
      'Nothing of this batch is changed. Change the trigger and resume, or cancel the run.',
  );
