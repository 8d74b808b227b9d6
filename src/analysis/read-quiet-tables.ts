import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog, userSchemas } from './catalog-query.ts';
import { notOfExtension } from './extension-tables.ts';

/** A table that was not read from end to end since its counters began, or for long; its indexes are another matter. */
export interface QuietTable {
  readonly oid: number;
  /** rows inserted, updated and deleted since the counters began */
  readonly writes: number;
  /** null: never, or not told (before PostgreSQL 16) */
  readonly lastScanAt: Date | null;
  /** objects that need it, as PostgreSQL describes them */
  readonly referredBy: readonly string[];
  /** its name is a word in a function's text, of which PostgreSQL knows no dependencies */
  readonly mentioned: boolean;
  readonly published: boolean;
}

/** By OID; with partitioned tables, which are never read themselves. */
export async function readQuietTables(
  session: Session,
  forgottenSince: Date,
): Promise<Map<number, QuietTable>> {
  const rows = await readCatalog<QuietTable>(session, quietQuery(session.serverVersion, forgottenSince));
  return new Map(rows.map((row) => [row.oid, row]));
}

/**
 * What needs a table depends on it, or on its row type, in the normal way (deptype n); its own parts (indexes, triggers,
 * policies, defaults) may do so as well, and do not count.
 */
const quietQuery = (version: number, forgottenSince: Date) => sql`
  WITH quiet AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relnamespace, c.reltype, u.last_scan
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (SELECT ${version >= 160_000 ? sql`pg_catalog.pg_stat_get_lastscan(c.oid)` : sql`NULL::timestamptz`} AS last_scan) u
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${userSchemas} AND ${notOfExtension}
       AND (pg_catalog.pg_stat_get_numscans(c.oid) = 0 OR u.last_scan < ${forgottenSince.toISOString()}::timestamptz)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel s WHERE s.srrelid = c.oid)
  ), word AS MATERIALIZED (
    SELECT DISTINCT w.word FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('c', 'internal'),
      LATERAL pg_catalog.unnest(pg_catalog.string_to_array(
        pg_catalog.translate(pg_catalog.lower(p.prosrc), ${SEPARATORS}, ${' '.repeat(SEPARATORS.length)}), ' ')) w (word)
     WHERE ${userSchemas}
  ), need AS MATERIALIZED (
    SELECT q.oid, pg_catalog.array_agg(DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, 0)) AS objects
      FROM quiet q
      JOIN pg_catalog.pg_depend d ON d.deptype = 'n' AND (
             (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = q.oid)
          OR (d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND q.reltype <> 0
              AND d.refobjid IN (q.reltype, (SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.oid = q.reltype))))
      LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
      LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
      LEFT JOIN pg_catalog.pg_policy y ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND y.oid = d.objid
      LEFT JOIN pg_catalog.pg_trigger g ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND g.oid = d.objid
      LEFT JOIN pg_catalog.pg_attrdef a ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = d.objid
     WHERE coalesce(r.ev_class, k.conrelid, y.polrelid, g.tgrelid, a.adrelid, 0) <> q.oid
       AND coalesce(k.conparentid, 0) = 0
     GROUP BY q.oid
  )
  SELECT q.oid AS oid, q.last_scan AS "lastScanAt",
         (pg_catalog.pg_stat_get_tuples_inserted(q.oid) + pg_catalog.pg_stat_get_tuples_updated(q.oid)
          + pg_catalog.pg_stat_get_tuples_deleted(q.oid))::float8 AS writes,
         coalesce(e.objects, '{}') AS "referredBy",
         pg_catalog.lower(q.relname) IN (SELECT w.word FROM word w) AS mentioned,
         EXISTS (SELECT FROM pg_catalog.pg_publication_rel b WHERE b.prrelid = q.oid)
         ${version >= 150_000 ? sql`OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace b WHERE b.pnnspid = q.relnamespace)` : sql``}
         OR (q.relpersistence = 'p' AND EXISTS (SELECT FROM pg_catalog.pg_publication b WHERE b.puballtables)) AS published
    FROM quiet q LEFT JOIN need e ON e.oid = q.oid ORDER BY q.oid`;

const SEPARATORS = '\n\r\t.,;:()[]{}"\'=<>+-*/%|&!@#?';
