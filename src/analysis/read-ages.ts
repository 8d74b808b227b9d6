import type { Session } from '../target/session.ts';
import { integer, sql, type Sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';

/** What is numbered by 32 bits and has to be frozen before the numbers come round. */
export type IdKind = 'XID' | 'MULTIXACT';

/** A table or TOAST table, with the ages of the oldest ids in it. */
export interface AgedRelation {
  /** of the table that a TOAST table belongs to */
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  readonly isToast: boolean;
  readonly isTemporary: boolean;
  /** reloptions, joined by commas */
  readonly options: string | null;
  readonly toastOptions: string | null;
  readonly age: Readonly<Record<IdKind, number>>;
}

export interface AgedDatabase {
  readonly name: string;
  readonly isCurrent: boolean;
  readonly takesConnections: boolean;
  readonly age: Readonly<Record<IdKind, number>>;
}

/** How many ids had been given out at a time. Multixacts count modulo 2^32. */
export interface IdCount {
  readonly at: string;
  readonly XID: number;
  readonly MULTIXACT: number;
}

export interface Ages {
  /** those beyond one of the two ages, or with an age of their own among their options; the system catalogs and temporary tables, too */
  readonly relations: readonly AgedRelation[];
  readonly databases: readonly AgedDatabase[];
  readonly now: IdCount;
  /** at the last checkpoint */
  readonly checkpoint: IdCount;
}

/** One statement; takes no lock on any table. */
export async function readAges(session: Session, beyond: Readonly<Record<IdKind, number>>): Promise<Ages> {
  const [row] = await readCatalog<Ages>(session, agesQuery(integer(beyond.XID), integer(beyond.MULTIXACT)));
  if (row === undefined) throw new TypeError('A query without a FROM gave no row.');
  return row;
}

/** age() of a xid that is 0, as sequences and views have it, is no age. */
const agesQuery = (xids: Sql, multixacts: Sql) => sql`
  WITH aged AS MATERIALIZED (
    SELECT c.oid, c.relnamespace, c.relname, c.relkind, c.relpersistence, c.reloptions,
           pg_catalog.age(c.relfrozenxid) AS xids, pg_catalog.mxid_age(c.relminmxid) AS multixacts
      FROM pg_catalog.pg_class c
     WHERE c.relkind IN ('r', 'm', 't') AND c.relfrozenxid <> '0'::pg_catalog.xid AND c.relminmxid <> '0'::pg_catalog.xid
  ), found AS (
    SELECT coalesce(o.oid, a.oid) AS oid, n.nspname, coalesce(o.relname, a.relname) AS relname,
           a.relkind = 't' AS is_toast, a.relpersistence = 't' AS is_temporary,
           CASE WHEN a.relkind = 't' THEN o.reloptions ELSE a.reloptions END AS reloptions,
           CASE WHEN a.relkind = 't' THEN a.reloptions END AS toast_options, a.xids, a.multixacts
      FROM aged a
      LEFT JOIN pg_catalog.pg_class o ON o.reltoastrelid = a.oid AND a.relkind = 't'
      JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(o.relnamespace, a.relnamespace)
     WHERE a.xids >= ${xids} OR a.multixacts >= ${multixacts}
        OR pg_catalog.array_to_string(a.reloptions || o.reloptions, ',') LIKE '%freeze_max_age=%'
  )
  SELECT (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
            'oid', f.oid::int8, 'schema', f.nspname, 'table', f.relname, 'isToast', f.is_toast, 'isTemporary', f.is_temporary,
            'options', pg_catalog.array_to_string(f.reloptions, ','), 'toastOptions', pg_catalog.array_to_string(f.toast_options, ','),
            'age', pg_catalog.json_build_object('XID', f.xids, 'MULTIXACT', f.multixacts))
            ORDER BY f.xids DESC, f.nspname, f.relname), '[]'::json) FROM found f) AS relations,
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', d.datname, 'isCurrent', d.datname = pg_catalog.current_database(), 'takesConnections', d.datallowconn,
            'age', pg_catalog.json_build_object('XID', pg_catalog.age(d.datfrozenxid), 'MULTIXACT', pg_catalog.mxid_age(d.datminmxid)))
            ORDER BY d.datname) FROM pg_catalog.pg_database d) AS databases,
         pg_catalog.json_build_object('at', pg_catalog.now(),
            'XID', pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8,
            'MULTIXACT', pg_catalog.mxid_age('1'::pg_catalog.xid)::int8 + 1) AS now,
         (SELECT pg_catalog.json_build_object('at', k.checkpoint_time,
            'XID', pg_catalog.split_part(k.next_xid, ':', 1)::int8 * 4294967296 + pg_catalog.split_part(k.next_xid, ':', 2)::int8,
            'MULTIXACT', k.next_multixact_id::text::int8) FROM pg_catalog.pg_control_checkpoint() k) AS checkpoint`;
