import type { Relation } from '../target/catalog.ts';
import { hasCycle, type Reached, references, rowsOf, waysTo } from '../target/reached-tables.ts';
import { ident, join, type Sql, sql } from '../target/sql.ts';

/** Rows that would be deleted, for statements that begin with prefix. */
export interface Doomed {
  readonly prefix: Sql;
  /** Whether the row that the alias stands for would be deleted. */
  readonly condition: (relation: Relation, alias: Sql) => Sql;
  /** The rows of the table that would be deleted, under the alias, with the columns that keys lead to and their PLACE. */
  readonly rows: (relation: Relation, alias: Sql) => Sql;
  /** The chosen rows of the subject alone. */
  readonly chosen: (alias: Sql) => Sql;
}

/** Where a row of Doomed.rows is: no table has a column of this name. */
export const PLACE = ident('declutter place');
const TABLE = ident('declutter table');

/** filter: the chosen rows of the subject, as a condition on an alias. */
export function doomedRows(reached: Reached, filter: (alias: Sql) => Sql): Doomed {
  return hasCycle(reached) ? byRecursion(reached, filter) : byLevels(reached, filter);
}

/** As long as no table leads back to itself: each table's rows once, as a set, from the sets of those that lead to it. */
function byLevels(reached: Reached, filter: (alias: Sql) => Sql): Doomed {
  const { subject } = reached;
  const child = ident('c');
  const setName = ({ oid }: Relation) => ident(`doomed_${oid}`);
  const condition = (relation: Relation, alias: Sql): Sql => {
    if (relation.oid === subject.oid) return sql`(${filter(alias)})`;
    const ways = waysTo(reached, relation).map((edge) => {
      const parent = ident('p');
      return sql`EXISTS (SELECT FROM ${setName(edge.parent)} AS ${parent} WHERE ${references(edge, parent, alias)})`;
    });
    return sql`(${join(ways, ' OR ')})`;
  };
  const sets = inOrder(reached).map(
    (relation) => sql`${setName(relation)} AS (
      SELECT ${columnsLedTo(reached, relation, child)} FROM ${rowsOf(relation, child)} WHERE ${condition(relation, child)})`,
  );
  return {
    prefix: sql`WITH ${join(sets, ', ')}`,
    condition,
    rows: (relation, alias) => sql`${setName(relation)} AS ${alias}`,
    chosen: filter,
  };
}

/** What keys, declared or not, compare, and where the row is. */
function columnsLedTo({ edges }: Reached, { oid, primaryKey }: Relation, alias: Sql): Sql {
  const led = edges.filter(({ parent }) => parent.oid === oid).flatMap(({ key }) => key.referencedColumns);
  const columns = [...new Set([...led, ...(primaryKey ?? [])])].map(
    (column) => sql`${alias}.${ident(column)}`,
  );
  return join([...columns, sql`${alias}.tableoid AS ${TABLE}`, sql`${alias}.ctid AS ${PLACE}`], ', ');
}

/** Each table behind all those that lead to it. */
function inOrder(reached: Reached): Relation[] {
  const left = new Map(reached.tables.map((table) => [table.oid, table]));
  const ordered: Relation[] = [];
  while (left.size > 0) {
    const free = [...left.values()].filter((table) =>
      waysTo(reached, table).every(({ parent }) => !left.has(parent.oid)),
    );
    for (const table of free) left.delete(table.oid);
    ordered.push(...free);
  }
  return ordered;
}

/** Trees and circles: set after set from the chosen rows on, each row once. */
function byRecursion(reached: Reached, filter: (alias: Sql) => Sql): Doomed {
  const { subject, edges, deletes } = reached;
  const [parent, child] = [ident('p'), ident('c')];
  const steps = edges
    .filter(({ key }) => deletes(key))
    .map(
      (
        edge,
      ) => sql`SELECT ${parent}.tableoid AS from_t, ${parent}.ctid AS from_place, ${child}.tableoid AS t, ${child}.ctid AS place
        FROM ${rowsOf(edge.parent, parent)} JOIN ${rowsOf(edge.child, child)} ON ${references(edge, parent, child)}`,
    );
  const prefix = sql`
    WITH RECURSIVE doomed(t, place) AS (
      SELECT ${parent}.tableoid, ${parent}.ctid FROM ${rowsOf(subject, parent)} WHERE ${filter(parent)}
      UNION
      SELECT next.t, next.place FROM doomed JOIN (${join(steps, ' UNION ALL ')}) AS next
          ON next.from_t = doomed.t AND next.from_place = doomed.place)`;
  const condition = (_relation: Relation, alias: Sql) =>
    sql`((${alias}.tableoid, ${alias}.ctid) IN (SELECT t, place FROM doomed))`;
  const rows = (relation: Relation, alias: Sql) =>
    sql`(SELECT ${columnsLedTo(reached, relation, child)} FROM ${rowsOf(relation, child)} WHERE ${condition(relation, child)}) AS ${alias}`;
  return { prefix, condition, rows, chosen: filter };
}
