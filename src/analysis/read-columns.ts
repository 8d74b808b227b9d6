import type { Session } from '../target/session.ts';
import { sql, type Sql } from '../target/sql.ts';
import { inScope, readCatalog, type Scope } from './catalog-query.ts';
import type { ColumnFigures, ColumnStatistics } from './define-analysis.ts';

/** Columns of all tables with their statistics, one row a table: the rows of thousands of tables stay few. */
export async function readColumns(
  session: Session,
  scope: Scope | null,
): Promise<Map<number, ColumnFigures[]>> {
  const rows = await readCatalog<{ oid: number; columns: RawColumn[] }>(session, columnsQuery(scope));
  return new Map(rows.map((row) => [row.oid, row.columns.map(columnFigures)]));
}

/** What is common about a column's values is asked for indexed columns only: it tells how far a B-tree deduplicates. */
const columnsQuery = (scope: Scope | null) => sql`
  WITH indexed AS MATERIALIZED (
    SELECT DISTINCT i.indrelid, k.attnum FROM pg_catalog.pg_index i, LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) k (attnum)
  )
  SELECT c.oid AS oid,
         pg_catalog.json_agg(${columnAsJson(sql`s`, sql`x.attnum IS NOT NULL`)} ORDER BY a.attnum) AS columns
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_catalog.pg_stats s
           ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
    LEFT JOIN indexed x ON x.indrelid = c.oid AND x.attnum = a.attnum
   WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND ${inScope(scope)}
   GROUP BY c.oid`;

/** One attribute with its row of pg_stats as a JSON array: see RawColumn. */
export const columnAsJson = (stats: Sql, withCommon: Sql) => sql`pg_catalog.json_build_array(
  a.attnum, a.attname, a.atttypid::int8, a.attlen, a.attalign, a.attstorage, a.atttypmod, a.attnotnull, a.attisdropped,
  a.attgenerated = 'v', ${stats}.null_frac, ${stats}.avg_width, ${stats}.n_distinct,
  CASE WHEN ${withCommon} THEN coalesce(pg_catalog.cardinality(${stats}.most_common_freqs), 0) END,
  CASE WHEN ${withCommon} THEN (SELECT coalesce(pg_catalog.sum(f), 0) FROM pg_catalog.unnest(${stats}.most_common_freqs) f) END,
  a.atthasmissing)`;

export type RawColumn = [
  number: number,
  name: string,
  typeOid: number,
  length: number,
  align: string,
  storage: string,
  modifier: number,
  notNull: boolean,
  dropped: boolean,
  isVirtual: boolean,
  nullShare: number | null,
  averageWidth: number | null,
  distinct: number | null,
  commonCount: number | null,
  commonShare: number | null,
  addedLater?: boolean,
];

const ALIGNMENTS: Readonly<Record<string, 1 | 2 | 4 | 8>> = { c: 1, s: 2, i: 4, d: 8 };
const CHARACTER = 1042;

export function columnFigures(raw: RawColumn): ColumnFigures {
  const [number, name, typeOid, length, align, storage, modifier, notNull, dropped, isVirtual] = raw;
  return {
    number,
    name,
    typeOid,
    length,
    align: ALIGNMENTS[align] ?? 8,
    storage,
    padded: paddedWidth(typeOid, modifier),
    notNull,
    dropped,
    isVirtual,
    addedLater: raw[15] ?? false,
    statistics: columnStatistics(raw),
  };
}

/** The modifier of character(n) is n + 4, whatever header the value gets. */
const paddedWidth = (typeOid: number, modifier: number) =>
  typeOid !== CHARACTER || modifier < 5 ? null : modifier - 4 <= 126 ? modifier - 3 : modifier;

export function columnStatistics(raw: RawColumn): ColumnStatistics | null {
  const [nullShare, averageWidth, distinct, count, share] = raw.slice(10) as (number | null)[];
  if (nullShare == null || averageWidth == null || distinct == null) return null;
  return { nullShare, averageWidth, distinct, common: count == null ? null : { count, share: share ?? 0 } };
}
