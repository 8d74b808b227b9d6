import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';
import { notOfExtension } from './extension-tables.ts';

/** What a column is there for, as far as the catalog tells. */
export interface ColumnRole {
  readonly name: string;
  /** made from others, or numbered by itself: not what somebody writes */
  readonly isGenerated: boolean;
  readonly hasDefault: boolean;
  /** of a primary key, a unique or a foreign key */
  readonly isKey: boolean;
  /** indexes, constraints, views and the like, as PostgreSQL describes them */
  readonly usedBy: readonly string[];
}

/** Of these columns, by table and name; those of tables that belong to an extension are left out. */
export async function readColumnRoles(
  session: Session,
  columns: readonly { readonly table: number; readonly name: string }[],
): Promise<Map<number, Map<string, ColumnRole>>> {
  const rows = await readCatalog<ColumnRole & { table: number }>(
    session,
    sql`SELECT c.oid AS "table", a.attname AS name, a.attgenerated <> '' OR a.attidentity <> '' AS "isGenerated", a.atthasdef AS "hasDefault",
               EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f') AND a.attnum = ANY (k.conkey)) AS "isKey",
               ARRAY(SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, 0) FROM pg_catalog.pg_depend d
                      WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
                        AND d.classid <> 'pg_catalog.pg_attrdef'::pg_catalog.regclass ORDER BY 1) AS "usedBy"
          FROM ROWS FROM (pg_catalog.unnest(${columns.map(({ table }) => String(table))}::oid[]), pg_catalog.unnest(${columns.map(({ name }) => name)})) w (relation, name)
          JOIN pg_catalog.pg_class c ON c.oid = w.relation
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped
         WHERE ${notOfExtension} ORDER BY c.oid, a.attnum`,
  );
  const byTable = Map.groupBy(rows, (row) => row.table);
  return new Map([...byTable].map(([oid, list]) => [oid, new Map(list.map((row) => [row.name, row]))]));
}
