import { fromCatalog, integer, type Sql, sql } from './sql.ts';

/**
 * The publications that send a table's changes, as a JSON array of their names. A partition may be published through a table that
 * it belongs to (publish_via_partition_root). change: only those that send it; null: any.
 */
export const publicationsOf = (oid: number, change: 'update' | 'delete' | null): Sql => sql`
  (SELECT coalesce(pg_catalog.json_agg(p.pubname ORDER BY p.pubname), '[]')
     FROM pg_catalog.pg_publication p
    WHERE ${fromCatalog(change === null ? 'true' : `p.pub${change}`)} AND EXISTS (
      SELECT FROM pg_catalog.pg_publication_tables t
        JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
        JOIN pg_catalog.pg_class r ON r.relnamespace = n.oid AND r.relname = t.tablename
       WHERE t.pubname = p.pubname
         AND r.oid IN (SELECT ${integer(oid)} UNION SELECT relid FROM pg_catalog.pg_partition_ancestors(${integer(oid)}))))`;
