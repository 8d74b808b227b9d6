import type { ForeignKey, Relation } from '../target/catalog.ts';
import { readRelationByOid } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, integer, join, type Sql, sql } from '../target/sql.ts';

/** A foreign key that leads to rows which would be deleted, with the table that has it. */
export interface Edge {
  readonly key: ForeignKey;
  readonly child: Relation;
  readonly parent: Relation;
}

/** All tables whose rows would be deleted: the subject and what foreign keys lead to from there, through all levels. */
export interface Reached {
  readonly subject: Relation;
  /** The subject and every table that deletions lead to, each behind one that leads to it. */
  readonly tables: readonly Relation[];
  /** Every key that references a table where rows would be deleted. */
  readonly edges: readonly Edge[];
  readonly deletes: (key: ForeignKey) => boolean;
  /** There were more tables than a plan follows. */
  readonly isCut: boolean;
}

const MAX_TABLES = 200;

/** deletes: whether the key takes the referencing row with it. */
export async function readReached(
  session: Session,
  subject: Relation,
  deletes: (key: ForeignKey) => boolean,
): Promise<Reached> {
  const edges: Edge[] = [];
  const relations = new Map([[subject.oid, subject]]);
  const waiting = [subject];
  for (
    let parent = waiting.shift();
    parent !== undefined && relations.size < MAX_TABLES;
    parent = waiting.shift()
  ) {
    for (const key of await ownKeys(session, parent)) {
      const isNew = !relations.has(key.tableOid);
      const child = relations.get(key.tableOid) ?? (await readRelationByOid(session, key.tableOid));
      if (child === null) continue;
      edges.push({ key, child, parent });
      if (!deletes(key) || !isNew) continue;
      relations.set(child.oid, child);
      waiting.push(child);
    }
  }
  return { subject, tables: [...relations.values()], edges, deletes, isCut: relations.size >= MAX_TABLES };
}

/** A key of a partitioned table shows once for each partition too; the partitioned table stands for them. */
async function ownKeys(session: Session, relation: Relation): Promise<ForeignKey[]> {
  const copies = await session.query<{ oid: string }>(sql`
    SELECT k.oid::pg_catalog.text AS oid
      FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_constraint p ON p.oid = k.conparentid
     WHERE k.confrelid = ${integer(relation.oid)} AND k.contype = 'f' AND p.confrelid = k.confrelid`);
  const skipped = new Set(copies.map(({ oid }) => Number(oid)));
  return relation.inbound.filter(({ oid, enforced }) => enforced && !skipped.has(oid));
}

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

/** "FROM ONLY t AS a"; the rows of a partitioned table are in its partitions. */
export const rowsOf = (relation: Relation, alias: Sql): Sql =>
  sql`${relation.kind === 'PARTITIONED' ? sql`` : sql`ONLY `}${ident(relation.schema, relation.name)} AS ${alias}`;

/** The referencing row finds the referenced one by the key's own operators. */
export const references = ({ key }: Edge, parent: Sql, child: Sql): Sql =>
  join(
    key.columns.map(
      (column, i) =>
        sql`${parent}.${ident(key.referencedColumns[i] as string)} ${fromCatalog(key.operators[i] as string)} ${child}.${ident(column)}`,
    ),
    ' AND ',
  );

const waysTo = ({ edges, deletes }: Reached, { oid }: Relation): Edge[] =>
  edges.filter(({ key, child }) => child.oid === oid && deletes(key));

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

/** Whether tables are left when those that nothing left leads to are taken away, again and again. */
function hasCycle({ tables, edges, deletes }: Reached): boolean {
  const left = new Set(tables.map(({ oid }) => oid));
  const isLedTo = (oid: number) =>
    edges.some(({ key, parent, child }) => child.oid === oid && deletes(key) && left.has(parent.oid));
  for (;;) {
    const free = [...left].filter((oid) => !isLedTo(oid));
    if (free.length === 0) return left.size > 0;
    for (const oid of free) left.delete(oid);
  }
}
