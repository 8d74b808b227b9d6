import type { Session } from '../target/session.ts';
import { sql, type Sql } from '../target/sql.ts';
import { inScope, readCatalog, readUnlocked, type Scope } from './catalog-query.ts';
import type { ColumnFigures, ColumnStatistics, IndexDuty, IndexFacts, IndexKey } from './define-analysis.ts';
import { columnAsJson, columnFigures, columnStatistics, type RawColumn } from './read-columns.ts';
import { type OperatorClass, type OperatorClasses, readOperatorClasses } from './read-operator-classes.ts';
import { isOff, optionOf } from './read-tables.ts';
import { withParts } from './sum-parts.ts';

export type IndexRow = IndexFacts;

/** All indexes by the OID of their table; columns gives the statistics of plain key columns. */
export async function readIndexes(
  session: Session,
  scope: Scope | null,
  columns: ReadonlyMap<number, readonly ColumnFigures[]>,
): Promise<Map<number, IndexRow[]>> {
  const rows = await readUnlocked<RawIndex>(session, (locked) =>
    indexesQuery(session.serverVersion, locked, scope),
  );
  const expressions = rows.some((row) => row.has_expressions)
    ? await readExpressions(session, scope)
    : new Map();
  const classes = await readOperatorClasses(session);
  const indexes = rows.map((row) => indexRow(row, columns.get(row.table_oid) ?? [], expressions, classes));
  const tables = new Map(rows.map((row) => [row.oid, row.table_oid]));
  return Map.groupBy(withParts(indexes), (index) => tables.get(index.oid) ?? 0);
}

const indexesQuery = (version: number, locked: Sql, scope: Scope | null) => sql`
  WITH locked AS MATERIALIZED (${locked}), duties AS MATERIALIZED (
    SELECT k.conindid AS oid, pg_catalog.bool_or(k.contype IN ('p', 'u', 'x')) AS own, pg_catalog.bool_or(k.contype = 'f') AS target
      FROM pg_catalog.pg_constraint k WHERE k.conindid <> 0 GROUP BY k.conindid
  )
  SELECT i.indexrelid AS oid, i.indrelid AS table_oid, xn.nspname AS schema, x.relname AS name, m.amname AS method,
         i.indexrelid IN (SELECT relation FROM locked) AS locked,
         CASE WHEN i.indrelid IN (SELECT relation FROM locked) THEN NULL
              ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END AS definition,
         CASE WHEN i.indrelid IN (SELECT relation FROM locked) THEN NULL
              WHEN i.indexprs IS NOT NULL THEN pg_catalog.pg_get_expr(i.indexprs, i.indrelid) END AS expressions,
         CASE WHEN i.indrelid IN (SELECT relation FROM locked) THEN NULL
              WHEN i.indpred IS NOT NULL THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) END AS predicate,
         CASE WHEN i.indexrelid IN (SELECT relation FROM locked) THEN NULL
              ELSE pg_catalog.pg_relation_size(i.indexrelid) END::float8 AS bytes,
         pg_catalog.current_setting('block_size')::float8 AS block, x.relpages::float8, x.reltuples::float8,
         pg_catalog.array_to_string(x.reloptions, ',') AS options,
         pg_catalog.pg_stat_get_numscans(i.indexrelid)::float8 AS scans,
         ${version >= 160_000 ? sql`pg_catalog.pg_stat_get_lastscan(i.indexrelid)` : sql`NULL::timestamptz`} AS last_scan,
         i.indisunique, i.indisprimary, i.indisvalid AND i.indisready AND i.indislive AS valid, i.indimmediate, i.indisreplident, i.indisclustered,
         ${version >= 150_000 ? sql`i.indnullsnotdistinct` : sql`false`} AS nulls_not_distinct,
         x.relkind = 'I' AS partitioned, h.inhparent AS parent, x.relispartition, coalesce(u.own, false) AS own, coalesce(u.target, false) AS target, i.indnkeyatts AS key_count,
         i.indexprs IS NOT NULL AS has_expressions, i.indpred IS NOT NULL AS partial,
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
                   i.indkey[a.attnum - 1], i.indclass[a.attnum - 1]::int8, i.indcollation[a.attnum - 1]::int8, i.indoption[a.attnum - 1],
                   a.attstattarget >= 0, a.attname, a.atttypid::int8, a.attlen, a.attalign, a.attstorage, a.atttypmod,
                   a.attoptions::text, CASE WHEN i.indkey[a.attnum - 1] = 0 AND i.indrelid NOT IN (SELECT relation FROM locked)
                     THEN pg_catalog.pg_get_indexdef(i.indexrelid, a.attnum, false) END,
                   CASE WHEN c.relkind = 'p' THEN (SELECT t.attname FROM pg_catalog.pg_attribute t
                     WHERE t.attrelid = c.oid AND t.attnum = i.indkey[a.attnum - 1]) END) ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indexrelid) AS keys
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indrelid AND c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
    JOIN pg_catalog.pg_am m ON m.oid = x.relam
    LEFT JOIN duties u ON u.oid = i.indexrelid
    LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = i.indexrelid AND x.relispartition
   WHERE ${inScope(scope)}
   ORDER BY x.relname`;

interface RawIndex {
  oid: number;
  table_oid: number;
  schema: string;
  name: string;
  method: string;
  locked: boolean;
  definition: string | null;
  expressions: string | null;
  predicate: string | null;
  bytes: number | null;
  block: number;
  relpages: number;
  reltuples: number;
  options: string | null;
  scans: number;
  last_scan: Date | null;
  indisunique: boolean;
  indisprimary: boolean;
  valid: boolean;
  indimmediate: boolean;
  indisreplident: boolean;
  indisclustered: boolean;
  nulls_not_distinct: boolean;
  partitioned: boolean;
  parent: number | null;
  relispartition: boolean;
  own: boolean;
  target: boolean;
  key_count: number;
  has_expressions: boolean;
  partial: boolean;
  keys: RawKey[];
}

type RawKey = [
  column: number,
  operatorClass: number | null,
  collation: number | null,
  options: number | null,
  ownStatistics: boolean | null,
  name: string,
  typeOid: number,
  length: number,
  align: string,
  storage: string,
  modifier: number,
  parameters: string | null,
  expression: string | null,
  /** columns of partitioned tables are not read otherwise */
  columnOfPartitioned: string | null,
];

type Expressions = ReadonlyMap<string, ColumnStatistics>;

/** ANALYZE keeps the statistics of an expression under the index's name. */
async function readExpressions(session: Session, scope: Scope | null): Promise<Expressions> {
  const rows = await readCatalog<{ key: string; statistics: RawColumn }>(
    session,
    sql`SELECT i.indexrelid || '/' || a.attnum AS key, ${columnAsJson(sql`s`, sql`true`)} AS statistics
          FROM pg_catalog.pg_index i
          JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
          JOIN pg_catalog.pg_attribute a ON a.attrelid = x.oid
          JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = x.relname AND s.attname = a.attname
         WHERE i.indexprs IS NOT NULL AND ${inScope(scope)}`,
  );
  return new Map(
    rows.flatMap((row) => {
      const statistics = columnStatistics(row.statistics);
      return statistics ? [[row.key, statistics] as const] : [];
    }),
  );
}

function indexRow(
  row: RawIndex,
  columns: readonly ColumnFigures[],
  expressions: Expressions,
  classes: OperatorClasses,
): IndexRow {
  const keys = row.keys.map((key, i) =>
    indexKey(key, columns, classes, expressions.get(`${row.oid}/${i + 1}`)),
  );
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    isPartitioned: row.partitioned,
    parentOid: row.parent,
    parts: [],
    method: row.method,
    definition: row.definition,
    sizeBytes: row.bytes ?? row.relpages * row.block,
    locked: row.locked || row.definition === null,
    pages: { count: (row.bytes ?? 0) / row.block, counted: row.relpages, rows: row.reltuples },
    options: row.options?.split(',').sort() ?? [],
    fillfactor: Number(optionOf(row.options, 'fillfactor') ?? 90),
    deduplicates: deduplicates(row, classes),
    scans: row.scans,
    lastScanAt: row.last_scan?.toISOString() ?? null,
    isUnique: row.indisunique,
    isPrimary: row.indisprimary,
    isValid: row.valid,
    keys: keys.slice(0, row.key_count),
    included: keys.slice(row.key_count),
    expressions: row.expressions,
    isPartial: row.partial,
    predicate: row.predicate,
    nullsNotDistinct: row.nulls_not_distinct,
    immediate: row.indimmediate,
    duties: dutiesOf(row),
  };
}

function indexKey(
  raw: RawKey,
  columns: readonly ColumnFigures[],
  classes: OperatorClasses,
  ofExpression?: ColumnStatistics,
): IndexKey {
  const [attribute, operatorClass, collation, options, , name, typeOid, length, align, storage, modifier] =
    raw;
  const [parameters, expression, columnOfPartitioned] = raw.slice(11) as [
    string | null,
    string | null,
    string | null,
  ];
  const column = attribute === 0 ? undefined : columns.find((c) => c.number === attribute);
  const stored = columnFigures([
    attribute, name, typeOid, length, align, storage, modifier, column?.notNull ?? false, false, false,
    null, null, null, null, null,
  ]); // prettier-ignore
  return {
    column: column?.name ?? columnOfPartitioned,
    expression,
    ...orderOf(classes.of(operatorClass), operatorClass ?? 0),
    parameters,
    collation: collation ?? 0,
    options: options ?? 0,
    stored: { ...stored, statistics: column ? column.statistics : (ofExpression ?? null) },
  };
}

const orderOf = (known: OperatorClass | undefined, operatorClass: number) => ({
  operatorClass,
  operatorFamily: known?.family ?? 0,
  inputType: known?.inputType ?? 0,
  equality: known?.equality ?? null,
});

const deduplicates = (row: RawIndex, classes: OperatorClasses) =>
  row.method === 'btree' &&
  row.keys.length === row.key_count &&
  !isOff(optionOf(row.options, 'deduplicate_items')) &&
  row.keys.every(
    ([, operatorClass, collation]) =>
      classes.of(operatorClass)?.equalIsSame === true && !classes.looseCollations.has(collation ?? 0),
  );

function dutiesOf(row: RawIndex): IndexDuty[] {
  const duties: [IndexDuty, boolean][] = [
    ['PRIMARY_KEY', row.indisprimary],
    ['CONSTRAINT', row.own && !row.indisprimary],
    ['FOREIGN_KEY_TARGET', row.target],
    ['REPLICA_IDENTITY', row.indisreplident],
    ['CLUSTERED', row.indisclustered],
    ['STATISTICS', row.keys.some(([, , , , ownStatistics]) => ownStatistics === true)],
    ['PARTITION', row.relispartition],
  ];
  return duties.filter(([, holds]) => holds).map(([duty]) => duty);
}
