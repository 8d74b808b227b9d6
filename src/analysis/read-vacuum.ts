import type { Session } from '../target/session.ts';
import { type Sql, sql } from '../target/sql.ts';
import { inScope, readCatalog, type Scope } from './catalog-query.ts';
import { SETTING_NAMES, type ServerSettings } from './vacuum-settings.ts';

/** How VACUUM stands in a database: what it goes by, where it is at work, and who is in its way. */
export interface VacuumState {
  readonly server: ServerSettings;
  /** what other sessions do is shown to this role */
  readonly seesAll: boolean;
  readonly role: string;
  /** autovacuum workers of the whole server; null when they are hidden from this role */
  readonly busyWorkers: number | null;
  /** by OID of the table or TOAST table */
  readonly running: ReadonlyMap<number, RunningVacuum>;
  /** who holds a lock that no VACUUM gets past, by OID of the table */
  readonly lockHolders: ReadonlyMap<number, LockHolder>;
  /** by the table's OID: those with something to say beyond the figures */
  readonly tables: ReadonlyMap<number, TableVacuum>;
}

export interface RunningVacuum {
  readonly pid: number;
  /** started by autovacuum; null when that is hidden from this role */
  readonly automatic: boolean | null;
}

export interface LockHolder {
  /** null: a prepared transaction */
  readonly pid: number | null;
  readonly mode: string;
}

export interface TableVacuum {
  /** reloptions, joined by commas */
  readonly options: string | null;
  readonly toastOptions: string | null;
  /** rows, and chunks of the TOAST table, since the last VACUUM */
  readonly inserted: number;
  readonly toastInserted: number;
  /** share of the pages that are not frozen yet, which is what counts for inserted rows since PostgreSQL 18 */
  readonly unfrozen: number;
  readonly toastUnfrozen: number;
  readonly toastVacuumedAt: string | null;
}

/** One statement for all tables; takes no lock on any of them. */
export async function readVacuum(session: Session, scope: Scope | null): Promise<VacuumState> {
  const [row] = await readCatalog<RawState>(session, stateQuery(scope, session.serverVersion >= 180_000));
  if (row === undefined) throw new TypeError('A query without a FROM gave no row.');
  return {
    server: row.settings,
    seesAll: row.sees_all,
    role: row.role,
    busyWorkers: row.sees_all ? row.workers : null,
    running: new Map(row.running.map(([oid, pid, automatic]) => [oid, { pid, automatic }])),
    lockHolders: new Map(row.locks.map(([oid, pid, mode]) => [oid, { pid, mode }])),
    tables: new Map(row.tables.map((table) => [table[0], tableVacuum(table)])),
  };
}

const database = sql`(SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())`;

/** A session that vacuums holds SHARE UPDATE EXCLUSIVE; everything that conflicts with this mode keeps VACUUM away. */
const stateQuery = (scope: Scope | null, knowsFrozen: boolean) => sql`
  WITH vacuuming AS MATERIALIZED (
    SELECT v.pid FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.datid = ${database}
  ), held AS MATERIALIZED (
    SELECT l.relation, l.pid, l.mode FROM pg_catalog.pg_locks l
     WHERE l.locktype = 'relation' AND l.granted AND l.database = ${database}
       AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  )
  SELECT (SELECT pg_catalog.json_object_agg(s.name, s.setting) FROM pg_catalog.pg_settings s
           WHERE s.name = ANY (${SETTING_NAMES}::text[])) AS settings,
         pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
         current_user::text AS role,
         (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.backend_type = 'autovacuum worker')::int4 AS workers,
         ${list(sql`pg_catalog.json_build_array(h.relation::int8, h.pid, a.backend_type = 'autovacuum worker')`)}
            FROM held h JOIN pg_catalog.pg_stat_activity a ON a.pid = h.pid
           WHERE h.mode = 'ShareUpdateExclusiveLock' AND h.pid IN (SELECT pid FROM vacuuming)) AS running,
         ${list(sql`pg_catalog.json_build_array(h.relation::int8, h.pid, h.mode)`)}
            FROM held h LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = h.pid
           WHERE h.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
             AND NOT EXISTS (SELECT 1 FROM vacuuming v WHERE v.pid = h.pid)) AS locks,
         ${list(tableAsJson(knowsFrozen))}
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
           WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND ${inScope(scope)}
             AND (c.reloptions IS NOT NULL OR t.reloptions IS NOT NULL
                  OR pg_catalog.pg_stat_get_ins_since_vacuum(c.oid) > ${base('autovacuum_vacuum_insert_threshold')}
                  OR pg_catalog.pg_stat_get_ins_since_vacuum(t.oid) > ${base('autovacuum_vacuum_insert_threshold')}
                  OR pg_catalog.pg_stat_get_dead_tuples(t.oid) > ${base('autovacuum_vacuum_threshold')})) AS tables`;

/** What no table without options of its own is below when it is due. Read once, not for each table. */
const base = (name: string) => sql`(SELECT greatest(pg_catalog.current_setting(${name})::int8, 0))`;

const list = (element: Sql) => sql`(SELECT coalesce(pg_catalog.json_agg(${element}), '[]'::json)`;

const tableAsJson = (knowsFrozen: boolean) => sql`pg_catalog.json_build_array(
  c.oid::int8, pg_catalog.array_to_string(c.reloptions, ','), pg_catalog.array_to_string(t.reloptions, ','),
  pg_catalog.pg_stat_get_ins_since_vacuum(c.oid), pg_catalog.pg_stat_get_ins_since_vacuum(t.oid),
  ${unfrozen(sql`c`, knowsFrozen)}, ${unfrozen(sql`t`, knowsFrozen)},
  greatest(pg_catalog.pg_stat_get_last_vacuum_time(t.oid), pg_catalog.pg_stat_get_last_autovacuum_time(t.oid)))`;

const unfrozen = (relation: Sql, isKnown: boolean) =>
  isKnown
    ? sql`CASE WHEN ${relation}.relpages > 0 THEN 1 - least(${relation}.relallfrozen, ${relation}.relpages)::float8 / ${relation}.relpages END`
    : sql`1`;

type RawTable = [
  oid: number,
  options: string | null,
  toastOptions: string | null,
  inserted: number,
  toastInserted: number | null,
  unfrozen: number | null,
  toastUnfrozen: number | null,
  toastVacuumedAt: string | null,
];

interface RawState {
  settings: ServerSettings;
  sees_all: boolean;
  role: string;
  workers: number;
  running: [oid: number, pid: number, automatic: boolean | null][];
  locks: [oid: number, pid: number | null, mode: string][];
  tables: RawTable[];
}

const tableVacuum = (raw: RawTable): TableVacuum => ({
  options: raw[1],
  toastOptions: raw[2],
  inserted: raw[3],
  toastInserted: raw[4] ?? 0,
  unfrozen: raw[5] ?? 1,
  toastUnfrozen: raw[6] ?? 1,
  toastVacuumedAt: raw[7] === null ? null : new Date(raw[7]).toISOString(),
});
