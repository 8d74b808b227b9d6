import type { Session } from '../target/session.ts';
import { sql, type Sql } from '../target/sql.ts';
import { readCatalog, readUnlocked, userSchemas } from './catalog-query.ts';

/** An index that no query can use. */
export interface InvalidIndex {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** the table that it belongs to; for an index of a TOAST table, the table that this one serves */
  readonly tableSchema: string;
  readonly table: string;
  readonly isToast: boolean;
  readonly isPartitioned: boolean;
  /** every write keeps it up to date */
  readonly isReady: boolean;
  /** false: a drop has begun */
  readonly isLive: boolean;
  readonly isUnique: boolean;
  /** a part of a partitioned index cannot be dropped by itself */
  readonly isPart: boolean;
  readonly sizeBytes: number;
  /** null while its table is locked */
  readonly definition: string | null;
  /** somebody builds this very index now */
  readonly isBeingBuilt: boolean;
  /** somebody builds, rebuilds or drops an index of this table now, and it may be this one */
  readonly mayBeInWork: boolean;
}

export const readInvalidIndexes = (session: Session): Promise<InvalidIndex[]> =>
  readUnlocked<InvalidIndex>(session, invalidIndexes);

/**
 * Who builds is shown to roles that may read statistics; others see the process only, and by the lock that it holds on
 * the table for as long as it builds.
 */
const invalidIndexes = (locked: Sql) => sql`
  WITH locked AS MATERIALIZED (${locked}), building AS MATERIALIZED (
    SELECT p.pid, p.relid, p.index_relid FROM pg_catalog.pg_stat_progress_create_index p
     WHERE p.datname = pg_catalog.current_database()
  ), held AS MATERIALIZED (
    SELECT l.pid, l.relation FROM pg_catalog.pg_locks l
     WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
       AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'AccessExclusiveLock')
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
  )
  SELECT i.indexrelid AS oid, xn.nspname AS schema, x.relname AS name, n.nspname AS "tableSchema", coalesce(o.relname, c.relname) AS table,
         o.oid IS NOT NULL AS "isToast", x.relkind = 'I' AS "isPartitioned", i.indisready AS "isReady", i.indislive AS "isLive",
         i.indisunique AS "isUnique", x.relispartition AS "isPart",
         CASE WHEN i.indexrelid IN (SELECT relation FROM locked) THEN 0
              ELSE coalesce(pg_catalog.pg_relation_size(i.indexrelid), 0) END::float8 AS "sizeBytes",
         CASE WHEN i.indrelid IN (SELECT relation FROM locked) THEN NULL
              ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END AS definition,
         EXISTS (SELECT FROM building b WHERE b.index_relid = i.indexrelid) AS "isBeingBuilt",
         EXISTS (SELECT FROM building b WHERE b.relid = i.indrelid
                    OR b.relid IS NULL AND EXISTS (SELECT FROM held l WHERE l.pid = b.pid AND l.relation = i.indrelid))
           OR EXISTS (SELECT FROM held l WHERE l.relation = i.indexrelid) AS "mayBeInWork"
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indrelid AND c.relpersistence <> 't'
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
    LEFT JOIN pg_catalog.pg_class o ON c.relkind = 't' AND o.reltoastrelid = c.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(o.relnamespace, c.relnamespace)
   WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND ${userSchemas}
   ORDER BY n.nspname, c.relname, x.relname`;

/** A partition that keeps a partitioned index from being valid. */
export interface MissingPart {
  readonly indexOid: number;
  readonly schema: string;
  readonly table: string;
  readonly isPartitioned: boolean;
  /** of the part that is there, but not valid; null when there is none */
  readonly partSchema: string | null;
  readonly partName: string | null;
}

/** Of the invalid partitioned indexes among these; foreign tables have no indexes and are not missed. */
export const readMissingParts = (session: Session, oids: readonly number[]): Promise<MissingPart[]> =>
  readCatalog<MissingPart>(
    session,
    sql`SELECT i.indexrelid AS "indexOid", n.nspname AS schema, c.relname AS table, c.relkind = 'p' AS "isPartitioned",
               p.schema AS "partSchema", p.name AS "partName"
          FROM pg_catalog.pg_index i
          JOIN pg_catalog.pg_inherits h ON h.inhparent = i.indrelid
          JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid AND c.relkind IN ('r', 'p')
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN LATERAL (
            SELECT xn.nspname AS schema, x.relname AS name, xi.indisvalid AS valid
              FROM pg_catalog.pg_inherits xh JOIN pg_catalog.pg_index xi ON xi.indexrelid = xh.inhrelid
              JOIN pg_catalog.pg_class x ON x.oid = xi.indexrelid JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
             WHERE xh.inhparent = i.indexrelid AND xi.indrelid = c.oid) p ON true
         WHERE i.indexrelid = ANY (${oids.map(String)}::text[]::oid[]) AND p.valid IS NOT TRUE
         ORDER BY i.indexrelid, n.nspname, c.relname`,
  );
