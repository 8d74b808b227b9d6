import type { TableName } from '../domain/partition.ts';
import type { Session } from './session.ts';
import { fromCatalog, integer, join, sql } from './sql.ts';

/** A leaf below a partitioned table, at any depth. */
export interface Partition extends TableName {
  readonly oid: number;
  readonly kind: 'TABLE' | 'FOREIGN';
  /** the partitioned table right above it */
  readonly parent: TableName & { readonly oid: number };
  readonly strategy: 'RANGE' | 'LIST' | 'HASH';
  readonly isDefault: boolean;
  readonly bounds: string;
  /** RANGE by one column: the text of its lower bound, a constant or MINVALUE, and the type of the column */
  readonly lower: { readonly bound: string; readonly type: string } | null;
  /** Our role owns it and the table above it. */
  readonly isOwned: boolean;
  /** those that send deletes of its rows */
  readonly publications: readonly string[];
  /** what would have to go with it: views that name it, and the like */
  readonly dependents: readonly string[];
}

/** Those that a DETACH ... CONCURRENTLY has begun to take away are not among them. */
export const readPartitions = (session: Session, rootOid: number): Promise<Partition[]> =>
  session.query<Partition>(sql`
    SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS name,
           CASE c.relkind WHEN 'f' THEN 'FOREIGN' ELSE 'TABLE' END AS kind,
           pg_catalog.json_build_object('oid', p.oid::pg_catalog.int8, 'schema', pn.nspname, 'name', p.relname) AS parent,
           CASE k.partstrat WHEN 'r' THEN 'RANGE' WHEN 'l' THEN 'LIST' ELSE 'HASH' END AS strategy,
           k.partdefid = c.oid AS "isDefault", bound.text AS bounds,
           CASE WHEN k.partstrat = 'r' AND k.partnatts = 1 AND a.attnum IS NOT NULL AND k.partdefid <> c.oid THEN
             pg_catalog.json_build_object('bound', pg_catalog.substring(bound.text, '^FOR VALUES FROM \\((.*)\\) TO \\('),
                                          'type', pg_catalog.format_type(a.atttypid, a.atttypmod)) END AS lower,
           pg_catalog.pg_has_role(c.relowner, 'USAGE') AND pg_catalog.pg_has_role(p.relowner, 'USAGE') AS "isOwned",
           ARRAY(SELECT DISTINCT b.pubname::pg_catalog.text
                   FROM pg_catalog.pg_partition_ancestors(c.oid) AS up(oid)
                   JOIN pg_catalog.pg_class AS u ON u.oid = up.oid JOIN pg_catalog.pg_namespace AS un ON un.oid = u.relnamespace
                   JOIN pg_catalog.pg_publication_tables AS t ON t.schemaname = un.nspname AND t.tablename = u.relname
                   JOIN pg_catalog.pg_publication AS b ON b.pubname = t.pubname AND b.pubdelete ORDER BY 1) AS publications,
           ARRAY(SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, 0) FROM pg_catalog.pg_depend AS d
                  WHERE d.refclassid = 1259 AND d.refobjid = c.oid AND d.deptype = 'n' ORDER BY 1) AS dependents
      FROM pg_catalog.pg_partition_tree(${integer(rootOid)}::pg_catalog.oid::pg_catalog.regclass) AS leaf
      JOIN pg_catalog.pg_class AS c ON c.oid = leaf.relid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_class AS p ON p.oid = leaf.parentrelid JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
      JOIN pg_catalog.pg_partitioned_table AS k ON k.partrelid = p.oid
      LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.oid AND a.attnum = k.partattrs[0] AND a.attnum > 0
     CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS text) AS bound
     WHERE leaf.isleaf AND leaf.level > 0
     ORDER BY n.nspname, c.relname`);

/** Partitions that a DETACH ... CONCURRENTLY has left half way. */
export const readPendingDetaches = (
  session: Session,
  rootOid: number,
): Promise<{ readonly parent: TableName; readonly partition: TableName }[]> =>
  session.query(sql`
    SELECT pg_catalog.json_build_object('schema', pn.nspname, 'name', p.relname) AS parent,
           pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname) AS partition
      FROM pg_catalog.pg_inherits AS i
      JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
     WHERE i.inhdetachpending
       AND i.inhparent IN (SELECT relid FROM pg_catalog.pg_partition_tree(${integer(rootOid)}::pg_catalog.oid::pg_catalog.regclass))
     ORDER BY n.nspname, c.relname`);

/** The ranges of one table in their order, the last one at the start; those whose order cannot be told are left out. */
export async function lastRangesFirst(
  session: Session,
  partitions: readonly Partition[],
): Promise<Partition[]> {
  const ranges = partitions.flatMap((partition) =>
    partition.lower ? [{ partition, lower: partition.lower }] : [],
  );
  if (ranges.length === 0) return [];
  const rows = ranges.map(
    ({ lower: { bound, type } }, i) =>
      sql`(${integer(i)}, ${bound === 'MINVALUE' ? sql`NULL` : fromCatalog(bound)}::${fromCatalog(type)})`,
  );
  const ordered = await session.query<{ number: number }>(
    sql`SELECT number FROM (VALUES ${join(rows, ', ')}) AS range(number, bound) ORDER BY bound DESC NULLS LAST`,
  );
  return ordered.flatMap(({ number }) => ranges[number]?.partition ?? []);
}
