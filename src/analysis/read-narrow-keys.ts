import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog, userSchemas } from './catalog-query.ts';

/** A column of smallint or integer that tells rows apart by itself. */
export interface NarrowKey {
  /** of the table, or of the partitioned table that it is a part of */
  readonly table: number;
  readonly schema: string;
  readonly name: string;
  readonly column: string;
  readonly width: 2 | 4;
  /** no statistics: never analysed, or hidden because the role may not read the table */
  readonly unknown: boolean;
  readonly lowest: number | null;
  /** as of the last ANALYZE, so the truth is no lower */
  readonly highest: number | null;
  /** of values with their places in the table: near 0 where they were not counted up */
  readonly correlation: number | null;
}

/** By what ANALYZE has seen; nothing is read of the tables themselves. Partitions are taken together. */
export const readNarrowKeys = (session: Session): Promise<NarrowKey[]> =>
  readCatalog<NarrowKey>(
    session,
    sql`WITH key AS MATERIALIZED (
      SELECT DISTINCT c.oid, coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid) AS root, n.nspname, c.relname, a.attname, a.attlen, c.relpages, c.reltuples
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class c ON c.oid = i.indrelid AND c.relkind = 'r' AND c.relpersistence <> 't'
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.atttypid IN (21, 23)
       WHERE i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL AND ${userSchemas}
    )
    SELECT k.root AS "table", n.nspname AS schema, c.relname AS name, k.attname AS column, k.attlen AS width,
           pg_catalog.bool_or(s.attname IS NULL AND (k.relpages > 0 OR k.reltuples < 0) AND pg_catalog.pg_stat_get_live_tuples(k.oid) > 0) AS unknown,
           pg_catalog.min(v.lowest) AS lowest, pg_catalog.max(v.highest) AS highest, pg_catalog.max(pg_catalog.abs(s.correlation)) AS correlation
      FROM key k
      JOIN pg_catalog.pg_class c ON c.oid = k.root JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = k.nspname AND s.tablename = k.relname AND s.attname = k.attname AND NOT s.inherited
      LEFT JOIN LATERAL (
        SELECT pg_catalog.min(u.value) AS lowest, pg_catalog.max(u.value) AS highest FROM (
          SELECT pg_catalog.unnest(s.histogram_bounds::text::pg_catalog.int4[]) AS value
          UNION ALL SELECT pg_catalog.unnest(s.most_common_vals::text::pg_catalog.int4[])) u) v ON true
     GROUP BY k.root, n.nspname, c.relname, k.attname, k.attlen ORDER BY n.nspname, c.relname, k.attname`,
  );
