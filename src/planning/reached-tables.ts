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
  /** Every key that references a table where rows would be deleted. */
  readonly edges: readonly Edge[];
  readonly deletes: (key: ForeignKey) => boolean;
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
  return { subject, edges, deletes };
}

/** A key of a partitioned table shows once for each partition too; the partitioned table stands for them. */
async function ownKeys(session: Session, relation: Relation): Promise<ForeignKey[]> {
  const copies = await session.query<{ oid: string }>(sql`
    SELECT k.oid::pg_catalog.text AS oid
      FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_constraint p ON p.oid = k.conparentid
     WHERE k.confrelid = ${integer(relation.oid)} AND k.contype = 'f' AND p.confrelid = k.confrelid`);
  const skipped = new Set(copies.map(({ oid }) => Number(oid)));
  return relation.inbound.filter(({ oid }) => !skipped.has(oid));
}

/** Rows that would be deleted, as a condition; prefix goes before the statement that uses it. */
export interface Doomed {
  readonly prefix: Sql;
  readonly condition: (relation: Relation, alias: Sql) => Sql;
  /** The chosen rows of the subject alone. */
  readonly chosen: (alias: Sql) => Sql;
}

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

/** As long as no table leads back to itself: one EXISTS in the other, which PostgreSQL joins as sets. */
function byLevels(reached: Reached, filter: (alias: Sql) => Sql): Doomed {
  let aliases = 0;
  const condition = (relation: Relation, alias: Sql): Sql => {
    if (relation.oid === reached.subject.oid) return filter(alias);
    const ways = reached.edges.filter(({ key, child }) => child.oid === relation.oid && reached.deletes(key));
    return join(
      ways.map((edge) => {
        const parent = ident(`p${(aliases += 1)}`);
        return sql`EXISTS (SELECT FROM ${rowsOf(edge.parent, parent)} WHERE ${references(edge, parent, alias)} AND (${condition(edge.parent, parent)}))`;
      }),
      ' OR ',
    );
  };
  return {
    prefix: sql``,
    condition: (relation, alias) => sql`(${condition(relation, alias)})`,
    chosen: filter,
  };
}

/** Trees and circles: row by row from the chosen ones, each row once. */
function byRecursion(reached: Reached, filter: (alias: Sql) => Sql): Doomed {
  const { subject, edges, deletes } = reached;
  const [parent, child] = [ident('p'), ident('c')];
  const steps = edges
    .filter(({ key }) => deletes(key))
    .map(
      (edge) => sql`SELECT ${child}.tableoid AS t, ${child}.ctid AS place
        FROM ${rowsOf(edge.parent, parent)} JOIN ${rowsOf(edge.child, child)} ON ${references(edge, parent, child)}
       WHERE ${parent}.tableoid = doomed.t AND ${parent}.ctid = doomed.place`,
    );
  const prefix = sql`
    WITH RECURSIVE doomed(t, place) AS (
      SELECT ${parent}.tableoid, ${parent}.ctid FROM ${rowsOf(subject, parent)} WHERE ${filter(parent)}
      UNION
      SELECT next.t, next.place FROM doomed CROSS JOIN LATERAL (${join(steps, ' UNION ALL ')}) AS next)`;
  const condition = (_relation: Relation, alias: Sql) =>
    sql`((${alias}.tableoid, ${alias}.ctid) IN (SELECT t, place FROM doomed))`;
  return { prefix, condition, chosen: filter };
}

function hasCycle({ subject, edges, deletes }: Reached): boolean {
  const visit = (oid: number, path: readonly number[]): boolean =>
    path.includes(oid) ||
    edges.some(
      ({ key, parent, child }) => parent.oid === oid && deletes(key) && visit(child.oid, [...path, oid]),
    );
  return visit(subject.oid, []);
}
