import type { TableName } from '../domain/partition.ts';
import type { Session } from './session.ts';
import { integer, sql } from './sql.ts';

/**
 * The partitions, at any depth, without an index that PostgreSQL would take up into one on these columns of the whole: a
 * valid B-tree of all rows in their usual order, not unique, and in no other whole than one of a partition below.
 */
export const readUnindexedLeaves = (
  session: Session,
  rootOid: number,
  columns: readonly string[],
): Promise<(TableName & { readonly oid: number })[]> =>
  session.query(sql`
    WITH tree AS MATERIALIZED (
      SELECT t.relid::pg_catalog.oid AS oid, t.isleaf
        FROM pg_catalog.pg_partition_tree(${integer(rootOid)}::pg_catalog.oid::pg_catalog.regclass) t WHERE t.level > 0)
    SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS name
      FROM tree t
      JOIN pg_catalog.pg_class c ON c.oid = t.oid AND c.relkind = 'r'
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE t.isleaf AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
         JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname = 'btree'
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisready AND i.indislive AND NOT i.indisunique
          AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = i.indnkeyatts
          AND 0 = ALL (i.indoption::pg_catalog.int2[])
          AND ARRAY(SELECT a.attname::pg_catalog.text
                      FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k (number, place)
                      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                     ORDER BY k.place) = ${columns}::pg_catalog.text[]
          AND NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest(i.indkey::pg_catalog.int2[]), pg_catalog.unnest(i.indcollation::pg_catalog.oid[]),
                                            pg_catalog.unnest(i.indclass::pg_catalog.oid[])) k (number, collation_oid, class)
                            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                            JOIN pg_catalog.pg_opclass o ON o.oid = k.class
                           WHERE a.attcollation <> k.collation_oid OR NOT o.opcdefault)
          AND (NOT x.relispartition
               OR EXISTS (SELECT FROM pg_catalog.pg_index w JOIN tree above ON above.oid = w.indrelid
                           WHERE w.indexrelid = pg_catalog.pg_partition_root(x.oid::pg_catalog.regclass)::pg_catalog.oid AND w.indisvalid)))
     ORDER BY n.nspname, c.relname`);
