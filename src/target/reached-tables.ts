import type { DependentRows } from '../domain/words.ts';
import type { ForeignKey, Relation } from './catalog.ts';
import { readRelationByOid } from './catalog.ts';
import type { Session } from './session.ts';
import { fromCatalog, ident, integer, join, type Sql, sql } from './sql.ts';

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

/** Which keys take the referencing row with them: those that PostgreSQL follows by itself; with INCLUDE those too at which it would refuse. */
export const followedBy =
  (dependents: DependentRows): Reached['deletes'] =>
  ({ onDelete }) =>
    onDelete === 'CASCADE' ||
    (dependents === 'INCLUDE' && (onDelete === 'NO_ACTION' || onDelete === 'RESTRICT'));

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

export interface KeyBeside {
  readonly name: string;
  readonly child: string;
  /** the partition, or the table itself */
  readonly partition: string;
}

/** A foreign key that references a partitioned table, or one of its partitions by itself, beside those that are known by their OIDs. */
export async function keyBeside(
  session: Session,
  { oid }: Pick<Relation, 'oid'>,
  known: readonly number[],
): Promise<KeyBeside | null> {
  const keys = await session.query<KeyBeside>(sql`
    SELECT k.conname AS name, k.conrelid::pg_catalog.regclass::pg_catalog.text AS child,
           k.confrelid::pg_catalog.regclass::pg_catalog.text AS partition
      FROM pg_catalog.pg_partition_tree(${integer(oid)}::pg_catalog.oid::pg_catalog.regclass) AS tree
      JOIN pg_catalog.pg_constraint AS k ON k.confrelid = tree.relid AND k.contype = 'f'
     WHERE k.conparentid = 0 AND NOT k.oid::pg_catalog.int8 = ANY (ARRAY[${join(known.map(integer), ', ')}]::pg_catalog.int8[])
       AND pg_catalog.to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'
     ORDER BY k.oid LIMIT 1`);
  return keys[0] ?? null;
}

/** "FROM ONLY t"; the rows of a partitioned table are in its partitions. */
export const ownRows = ({ kind, schema, name }: Pick<Relation, 'kind' | 'schema' | 'name'>): Sql =>
  sql`${kind === 'PARTITIONED' ? sql`` : sql`ONLY `}${ident(schema, name)}`;

/** "FROM ONLY t AS a" */
export const rowsOf = (relation: Relation, alias: Sql): Sql => sql`${ownRows(relation)} AS ${alias}`;

/** The referencing row finds the referenced one by the key's own operators. */
export const references = ({ key }: Edge, parent: Sql, child: Sql): Sql =>
  join(
    key.columns.map(
      (column, i) =>
        sql`${parent}.${ident(key.referencedColumns[i] as string)} ${fromCatalog(key.operators[i] as string)} ${child}.${ident(column)}`,
    ),
    ' AND ',
  );

/** The keys that make rows of the table go. */
export const waysTo = ({ edges, deletes }: Reached, { oid }: Relation): Edge[] =>
  edges.filter(({ key, child }) => child.oid === oid && deletes(key));

/** Whether tables are left when those that nothing left leads to are taken away, again and again. */
export function hasCycle({ tables, edges, deletes }: Reached): boolean {
  const left = new Set(tables.map(({ oid }) => oid));
  const isLedTo = (oid: number) =>
    edges.some(({ key, parent, child }) => child.oid === oid && deletes(key) && left.has(parent.oid));
  for (;;) {
    const free = [...left].filter((oid) => !isLedTo(oid));
    if (free.length === 0) return left.size > 0;
    for (const oid of free) left.delete(oid);
  }
}
