import type { Column } from './catalog-columns.ts';
import type { Relation } from './catalog.ts';
import type { Place } from './duplicate-places.ts';
import type { MergeEdge } from './merge-graph.ts';
import { isOneOf, type Pair, tidArray } from './row-pairs.ts';
import { fromCatalog, ident, integer, join, type Sql, sql } from './sql.ts';

const pairsName = ({ oid }: Relation): Sql => ident(`pairs_${oid}`);
const goneValue = (column: number): Sql => ident(`gone ${column}`);
const staysValue = (column: number): Sql => ident(`stays ${column}`);

/** Where a re-pointed row is: no table has a column of this name. */
export const PLACE = ident('declutter place');

/** "pairs_123 AS (...)": the values that the keys reference, of rows that go and of those that stay for them. */
export function pairsOf(parent: Relation, pairs: readonly Pair[], edges: readonly MergeEdge[]): Sql {
  const table = ident(parent.schema, parent.name);
  const keys = edges
    .filter((edge) => edge.parent.oid === parent.oid)
    .flatMap(({ key }) => key.referencedColumns);
  const values = parent.columns
    .filter(({ name }) => keys.includes(name))
    .map(
      ({ name, number }) =>
        sql`gone.${ident(name)} AS ${goneValue(number)}, stays.${ident(name)} AS ${staysValue(number)}`,
    );
  return sql`${pairsName(parent)} AS MATERIALIZED (
    SELECT ${join(values, ', ')}
      FROM ROWS FROM (pg_catalog.unnest(${tidArray(pairs.map(({ gone }) => gone))}),
                      pg_catalog.unnest(${tidArray(pairs.map(({ stays }) => stays))})) AS pair(gone, stays)
      JOIN ONLY ${table} AS gone ON gone.ctid OPERATOR(pg_catalog.=) pair.gone
      JOIN ONLY ${table} AS stays ON stays.ctid OPERATOR(pg_catalog.=) pair.stays)`;
}

/** The rows of the child as they will be: with references to rows that go set to those that stay. Pairs of each edge's parent come before it. */
export function repointedRows(child: Relation, edges: readonly MergeEdge[], places: Iterable<Place>): Sql {
  const columns = child.columns.map((column) => sql`${newValue(column, edges)} AS ${ident(column.name)}`);
  const joins = edges.map(
    (edge, i) => sql`LEFT JOIN ${pairsName(edge.parent)} AS ${pairAlias(i)} ON ${refersTo(edge, i)}`,
  );
  return sql`
    SELECT child.ctid AS ${PLACE}, ${join(columns, ', ')}
      FROM ONLY ${ident(child.schema, child.name)} AS child ${join(joins, ' ')}
     WHERE ${isOneOf(sql`child.ctid`, places)}`;
}

const pairAlias = (i: number): Sql => sql`pair_${integer(i)}`;

/** By the key's own operators, with the referenced value on the left. */
const refersTo = ({ key, parent }: MergeEdge, i: number): Sql =>
  join(
    key.columns.map((column, at) => {
      const referenced = goneValue(numberOf(parent, key.referencedColumns[at] as string));
      return sql`${pairAlias(i)}.${referenced} ${fromCatalog(key.operators[at] as string)} child.${ident(column)}`;
    }),
    ' AND ',
  );

function newValue({ name }: Column, edges: readonly MergeEdge[]): Sql {
  const old = sql`child.${ident(name)}`;
  const cases = edges.flatMap(({ key, parent }, i) => {
    const at = key.columns.indexOf(name);
    if (at === -1) return [];
    const number = numberOf(parent, key.referencedColumns[at] as string);
    return [
      sql`WHEN ${pairAlias(i)}.${goneValue(number)} IS NOT NULL THEN ${pairAlias(i)}.${staysValue(number)}`,
    ];
  });
  return cases.length === 0 ? old : sql`CASE ${join(cases, ' ')} ELSE ${old} END`;
}

const numberOf = (relation: Relation, name: string): number =>
  relation.columns.find((column) => column.name === name)?.number ?? 0;

/** Columns of the child that some of the keys are made of. */
export const referencingColumns = (edges: readonly MergeEdge[]): string[] => [
  ...new Set(edges.flatMap(({ key }) => key.columns)),
];
