import { type ForeignKey, readRelationByOid, type Relation } from './catalog.ts';
import type { Session } from './session.ts';
import { integer, sql } from './sql.ts';
import { readUniqueKeys, type UniqueKey } from './unique-keys.ts';

/** A foreign key that leads to rows which may be merged into others, with the table that has it. */
export interface MergeEdge {
  readonly key: ForeignKey;
  /** of a partitioned table each of its partitions, which are tables of their own here */
  readonly child: Relation;
  readonly parent: Relation;
}

/** All tables that a merge of rows may change: the subject, what references it, and what references rows that become duplicates by it. */
export interface MergeGraph {
  readonly subject: Relation;
  /** The subject first. */
  readonly tables: readonly Relation[];
  readonly edges: readonly MergeEdge[];
  /** By table; where a change of a reference can make two rows the same. */
  readonly uniqueKeys: ReadonlyMap<number, readonly UniqueKey[]>;
  /** There were more tables than a plan follows. */
  readonly isCut: boolean;
}

const MAX_TABLES = 200;

/** Within a transaction. follow: false where references are refused, and not changed. */
export async function readMergeGraph(
  session: Session,
  subject: Relation,
  { follow }: { readonly follow: boolean },
): Promise<MergeGraph> {
  const tables = new Map([[subject.oid, subject]]);
  const uniqueKeys = new Map<number, readonly UniqueKey[]>();
  const edges: MergeEdge[] = [];
  const parents = new Set([subject.oid]);
  for (const oid of parents) {
    const parent = tables.get(oid) as Relation;
    for (const key of await declaredKeys(session, parent)) {
      for (const child of await childrenOf(session, key, tables)) {
        tables.set(child.oid, child);
        edges.push({ key, child, parent });
        if (!follow) continue;
        const touched = await touchedKeys(session, child, key);
        uniqueKeys.set(child.oid, merged(uniqueKeys.get(child.oid) ?? [], touched));
        if (touched.length > 0) parents.add(child.oid);
      }
      if (tables.size >= MAX_TABLES)
        return { subject, tables: [...tables.values()], edges, uniqueKeys, isCut: true };
    }
  }
  return { subject, tables: [...tables.values()], edges, uniqueKeys, isCut: false };
}

/** Whether enforced or not. A key of a partitioned table shows once for each partition too; the partitioned table stands for them. */
async function declaredKeys(session: Session, { oid, inbound }: Relation): Promise<ForeignKey[]> {
  const copies = await session.query<{ oid: string }>(sql`
    SELECT k.oid::pg_catalog.text AS oid
      FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_constraint p ON p.oid = k.conparentid
     WHERE k.confrelid = ${integer(oid)} AND k.contype = 'f' AND p.confrelid = k.confrelid`);
  const skipped = new Set(copies.map((copy) => Number(copy.oid)));
  return inbound.filter((key) => !skipped.has(key.oid));
}

async function childrenOf(
  session: Session,
  key: ForeignKey,
  known: ReadonlyMap<number, Relation>,
): Promise<Relation[]> {
  const leaves = await session.query<{ oid: string }>(sql`
    SELECT relid::pg_catalog.oid::pg_catalog.text AS oid
      FROM pg_catalog.pg_partition_tree(${integer(key.tableOid)}::pg_catalog.oid::pg_catalog.regclass) WHERE isleaf ORDER BY relid`);
  // What is no partitioned table has no tree, and stands for itself.
  const oids = leaves.length === 0 ? [key.tableOid] : leaves.map(({ oid }) => Number(oid));
  const children: Relation[] = [];
  for (const oid of oids) {
    const child = known.get(oid) ?? (await readRelationByOid(session, oid));
    if (child !== null) children.push(child);
  }
  return children;
}

async function touchedKeys(session: Session, child: Relation, { columns }: ForeignKey): Promise<UniqueKey[]> {
  const keys = await readUniqueKeys(session, child.oid);
  return keys.filter((unique) => unique.columns.some((column) => columns.includes(column)));
}

const merged = (known: readonly UniqueKey[], more: readonly UniqueKey[]): UniqueKey[] => [
  ...known,
  ...more.filter(({ name }) => known.every((one) => one.name !== name)),
];
