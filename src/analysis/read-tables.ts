import type { Session } from '../target/session.ts';
import { sql, type Sql } from '../target/sql.ts';
import { inScope, readUnlocked, type Scope } from './catalog-query.ts';
import type { MeasuredTable, TableKind, ToastFigures } from './define-analysis.ts';

/** A table as it is read, before its columns, indexes and verdict join it. */
export type TableRow = Omit<
  MeasuredTable,
  'columns' | 'indexes' | 'partitionedIndexes' | 'bloat' | 'indexBytes' | 'totalBytes'
>;

export async function readTables(session: Session, scope: Scope | null): Promise<TableRow[]> {
  return (await readUnlocked<RawTable>(session, (locked) => tablesQuery(locked, scope))).map(tableRow);
}

/** Sizes by three functions a table; everything else comes from the catalog and the counters, and takes no lock. */
const tablesQuery = (locked: Sql, scope: Scope | null) => sql`
  WITH locked AS MATERIALIZED (
    SELECT relation FROM (${locked}) l
    UNION
    SELECT i.indrelid FROM (${locked}) l JOIN pg_catalog.pg_index i ON i.indexrelid = l.relation
      JOIN pg_catalog.pg_class t ON t.oid = i.indrelid AND t.relkind = 't'
  ), found AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition, c.reltoastrelid, c.relpages, c.reltuples, c.reloptions,
           t.relpages AS toast_relpages, t.reltuples AS toast_reltuples,
           c.oid IN (SELECT relation FROM locked) OR t.oid IN (SELECT relation FROM locked) AS locked
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
     WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND ${inScope(scope)}
  )
  SELECT f.oid AS oid, f.nspname AS schema, f.relname AS name, f.relkind AS kind, coalesce(f.locked, false) AS locked,
         p.inhparent AS parent,
         f.relpages::float8 AS relpages, f.reltuples::float8 AS reltuples,
         pg_catalog.array_to_string(f.reloptions, ',') AS options,
         CASE WHEN f.locked THEN f.relpages * b.size ELSE pg_catalog.pg_relation_size(f.oid) END::float8 / b.size AS pages,
         CASE WHEN f.locked THEN (f.relpages + coalesce(f.toast_relpages, 0)) * b.size
              ELSE pg_catalog.pg_table_size(f.oid) END::float8 AS table_bytes,
         f.reltoastrelid AS toast_oid, f.toast_relpages::float8, f.toast_reltuples::float8,
         CASE WHEN f.toast_relpages IS NULL THEN 0 WHEN f.locked THEN f.toast_relpages * b.size
              ELSE pg_catalog.pg_relation_size(f.reltoastrelid) END::float8 / b.size AS toast_pages,
         CASE WHEN f.toast_relpages IS NULL THEN 0 WHEN f.locked THEN f.toast_relpages * b.size
              ELSE pg_catalog.pg_total_relation_size(f.reltoastrelid) END::float8 AS toast_bytes,
         pg_catalog.pg_stat_get_live_tuples(f.oid)::float8 AS live, pg_catalog.pg_stat_get_dead_tuples(f.oid)::float8 AS dead,
         pg_catalog.pg_stat_get_tuples_inserted(f.oid)::float8 AS inserted,
         pg_catalog.pg_stat_get_live_tuples(f.reltoastrelid)::float8 AS toast_live,
         pg_catalog.pg_stat_get_dead_tuples(f.reltoastrelid)::float8 AS toast_dead,
         pg_catalog.pg_stat_get_tuples_inserted(f.reltoastrelid)::float8 AS toast_inserted,
         greatest(pg_catalog.pg_stat_get_last_vacuum_time(f.reltoastrelid),
                  pg_catalog.pg_stat_get_last_autovacuum_time(f.reltoastrelid)) AS toast_vacuumed,
         pg_catalog.pg_stat_get_mod_since_analyze(f.oid)::float8 AS changes,
         greatest(pg_catalog.pg_stat_get_last_vacuum_time(f.oid), pg_catalog.pg_stat_get_last_autovacuum_time(f.oid)) AS vacuumed,
         greatest(pg_catalog.pg_stat_get_last_analyze_time(f.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(f.oid)) AS analyzed,
         pg_catalog.has_table_privilege(f.oid, 'SELECT') AND NOT pg_catalog.row_security_active(f.oid) AS readable
    FROM found f
    CROSS JOIN (SELECT pg_catalog.current_setting('block_size')::int8 AS size) b
    LEFT JOIN pg_catalog.pg_inherits p ON p.inhrelid = f.oid AND f.relispartition
   ORDER BY f.nspname, f.relname`;

interface RawTable {
  oid: number;
  schema: string;
  name: string;
  kind: string;
  locked: boolean;
  parent: number | null;
  relpages: number;
  reltuples: number;
  options: string | null;
  /** null: dropped while we were looking */
  pages: number | null;
  table_bytes: number | null;
  toast_oid: number;
  toast_relpages: number | null;
  toast_reltuples: number | null;
  toast_pages: number | null;
  toast_bytes: number | null;
  live: number;
  dead: number;
  inserted: number;
  toast_live: number | null;
  toast_dead: number | null;
  toast_inserted: number | null;
  toast_vacuumed: Date | null;
  changes: number;
  vacuumed: Date | null;
  analyzed: Date | null;
  readable: boolean | null;
}

/** of a row with values outside, before it is written */
const DEFAULT_TOAST_TARGET = 2032;

const KINDS: Readonly<Record<string, TableKind>> = { r: 'TABLE', m: 'MATERIALIZED_VIEW', p: 'PARTITIONED' };

function tableRow(row: RawTable): TableRow {
  const pages = { count: row.pages ?? 0, counted: row.relpages, rows: row.reltuples };
  const countersLost = lostCounters(pages, row.inserted, row.vacuumed ?? row.analyzed);
  const toastBytes = row.toast_bytes ?? 0;
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    kind: KINDS[row.kind] ?? 'TABLE',
    parentOid: row.parent,
    locked: row.locked,
    liveRows: countersLost ? Math.max(row.reltuples, 0) : row.live,
    deadRows: row.dead,
    heapBytes: Math.max((row.table_bytes ?? 0) - toastBytes, 0),
    toastBytes,
    pages,
    toast: toastFigures(row),
    ...storageOf(row.options),
    lastVacuumAt: row.vacuumed?.toISOString() ?? null,
    lastAnalyzeAt: row.analyzed?.toISOString() ?? null,
    changesSinceAnalyze: row.changes,
    countersLost,
    readable: row.readable ?? false,
  };
}

const storageOf = (options: string | null): Pick<TableRow, 'fillfactor' | 'toastTarget'> => ({
  fillfactor: Number(optionOf(options, 'fillfactor') ?? 100),
  toastTarget: Number(optionOf(options, 'toast_tuple_target') ?? DEFAULT_TOAST_TARGET),
});

function toastFigures(row: RawTable): ToastFigures | null {
  if (row.toast_relpages === null) return null;
  const pages = { count: row.toast_pages ?? 0, counted: row.toast_relpages, rows: row.toast_reltuples ?? -1 };
  const live = row.toast_live ?? 0;
  const countersLost = lostCounters(pages, row.toast_inserted ?? 0, row.toast_vacuumed);
  const liveChunks = countersLost ? Math.max(pages.rows, 0) : live;
  return { oid: row.toast_oid, pages, liveChunks, deadChunks: row.toast_dead ?? 0, countersLost };
}

/**
 * A crash or a reset sets the counters to zero, which is not the same as an empty table: more rows were there once than
 * were ever inserted, and nothing has counted them since.
 */
const lostCounters = (pages: TableRow['pages'], inserted: number, countedAt: Date | null) =>
  pages.count > 0 && countedAt === null && (pages.rows > inserted || (inserted === 0 && pages.rows !== 0));

/** One of reloptions, as people wrote it. */
export const optionOf = (options: string | null, name: string): string | undefined =>
  options
    ?.split(',')
    .find((option) => option.startsWith(`${name}=`))
    ?.slice(name.length + 1);

/** PostgreSQL takes any beginning of a word that can mean no other. */
export const isOff = (value: string | undefined) =>
  /^(of|off|f|fa|fal|fals|false|n|no|0)$/i.test(value ?? '');
