import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { ident, join, sql, toText } from '../../target/sql.ts';
import { readCatalog, userSchemas } from '../catalog-query.ts';
import {
  type AnalysisContext,
  defineAnalysis,
  type KeptTable,
  type MeasuredTable,
  tableKey,
} from '../define-analysis.ts';
import { LATE_MS, tableSettings } from '../judge-vacuum.ts';
import { planRemedy } from '../remedies.ts';
import { thresholdFor } from '../vacuum-settings.ts';

/** At twice its own threshold for autoanalyze a table's statistics describe another table. */
const FAR = 2;
const FEW = 1_000;
const MANY = 1_000_000;

/** Tables of which the planner knows nothing, or what was true long ago. */
export const staleStatistics = defineAnalysis({
  kind: 'STALE_STATISTICS',
  docs: 'docs/analyses/stale-statistics.md',
  find: async (context) => {
    const { tables } = context.figures;
    const leaves = Map.groupBy(tables, (table) => table.parentOid);
    const stale = tables.flatMap((table) => {
      const why = table.kind === 'PARTITIONED' ? whyParent(table, leaves, context) : whyTable(table, context);
      return why ? [{ ...why, table }] : [];
    });
    const before =
      stale.length === 0 ? null : await context.memory.tablesAt(new Date(context.now.getTime() - LATE_MS));
    return [
      ...stale
        .filter((found) => nobodyComes(found, context) || wasThere(found.table, before))
        .map((found) => faultOf(found, before, context)),
      ...(await withoutTarget(context)),
    ];
  },
});

interface Why {
  readonly reason: 'NEVER_ANALYZED' | 'CHANGED';
  /** of a partitioned table: at least */
  readonly changes: number;
  readonly threshold: number;
}

type Stale = Why & { readonly table: MeasuredTable };

const thresholdOf = (table: MeasuredTable, { figures }: AnalysisContext) =>
  thresholdFor(tableSettings(figures.vacuum, table.oid).analyze, table.pages.rows);

function whyTable(table: MeasuredTable, context: AnalysisContext): Why | null {
  const threshold = thresholdOf(table, context);
  const isUncounted = table.countersLost && table.pages.count > 0;
  const never = wasNeverAnalyzed(table);
  if (never === true && (table.liveRows > threshold || isUncounted))
    return { reason: 'NEVER_ANALYZED', changes: table.liveRows, threshold };
  if (never === null && (table.liveRows > threshold || isUncounted))
    return doubt(
      table,
      context,
      'whether it was ever analysed is hidden with its statistics: GRANT SELECT on it, or pg_read_all_data',
    );
  if (table.countersLost)
    return doubt(table, context, 'the counters of its changes were lost in a crash or a reset');
  if (table.changesSinceAnalyze < FEW || table.changesSinceAnalyze <= FAR * threshold) return null;
  return wasLately(table, context)
    ? null
    : { reason: 'CHANGED', changes: table.changesSinceAnalyze, threshold };
}

function doubt({ schema, name }: MeasuredTable, context: AnalysisContext, why: string): null {
  context.unsure({ schema, table: name, index: null }, `${schema}.${name}: ${why}.`);
  return null;
}

/** The time of the last ANALYZE goes with the counters, the statistics stay. null: hidden from this role */
function wasNeverAnalyzed(table: MeasuredTable): boolean | null {
  const columns = table.columns.filter((column) => !column.dropped);
  if (table.lastAnalyzeAt !== null || columns.some((column) => column.statistics !== null)) return false;
  if (columns.length === 0) return false;
  return table.readable || table.pages.rows < 0 ? true : null;
}

/** What autoanalyze has seen within the hour is its next turn. */
const wasLately = ({ oid, lastAnalyzeAt }: MeasuredTable, { figures, now }: AnalysisContext) =>
  tableSettings(figures.vacuum, oid).off === null &&
  lastAnalyzeAt !== null &&
  now.getTime() - Date.parse(lastAnalyzeAt) < LATE_MS;

/** Autovacuum analyses partitions, and never the partitioned table, whose own statistics plans over several of them need. */
function whyParent(
  table: MeasuredTable,
  children: ReadonlyMap<number | null, readonly MeasuredTable[]>,
  context: AnalysisContext,
): Why | null {
  const threshold = thresholdOf(table, context);
  if (table.pages.rows < 0)
    return table.liveRows > threshold
      ? { reason: 'NEVER_ANALYZED', changes: table.liveRows, threshold }
      : null;
  const changes = Math.max(
    Math.abs(table.liveRows - table.pages.rows),
    changesBelow(table, children, table.lastAnalyzeAt),
  );
  return changes < FEW || changes <= FAR * threshold ? null : { reason: 'CHANGED', changes, threshold };
}

/** A partition that was analysed later has forgotten changes; one that was analysed before counts some that are known. */
function changesBelow(
  table: MeasuredTable,
  children: ReadonlyMap<number | null, readonly MeasuredTable[]>,
  since: string | null,
): number {
  if (since === null) return 0;
  return (children.get(table.oid) ?? []).reduce((sum, child) => {
    if (child.kind === 'PARTITIONED') return sum + changesBelow(child, children, since);
    return child.lastAnalyzeAt !== null && child.lastAnalyzeAt >= since
      ? sum + child.changesSinceAnalyze
      : sum;
  }, 0);
}

const nobodyComes = ({ table }: { table: MeasuredTable }, { figures }: AnalysisContext) =>
  table.kind === 'PARTITIONED' || tableSettings(figures.vacuum, table.oid).off !== null;

/** A table that was not there an hour ago is autoanalyze's next turn; without such a snapshot, who knows. */
const wasThere = ({ schema, name }: MeasuredTable, before: ReadonlyMap<string, KeptTable> | null) =>
  before === null || before.has(tableKey(schema, name));

function faultOf(
  found: Stale,
  before: ReadonlyMap<string, KeptTable> | null,
  context: AnalysisContext,
): FoundFault {
  const { table, reason, changes, threshold } = found;
  const { schema, name } = table;
  const isLeft = nobodyComes(found, context);
  return {
    kind: 'STALE_STATISTICS',
    severity: severityOf(table.liveRows, isLeft),
    schema,
    table: name,
    index: null,
    columns: [],
    title:
      reason === 'NEVER_ANALYZED'
        ? `${schema}.${name} was never analysed (${table.liveRows} rows)`
        : `${schema}.${name}: ${changes} rows have changed since the last ANALYZE`,
    detail: [
      inWords(found),
      whoComes(table, context),
      ...(isLeft || before
        ? []
        : ['No earlier snapshot tells how long it has been so: autovacuum may be on its way.']),
      `ANALYZE ${toText(ident(schema, name))};`,
    ].join(' '),
    wastedBytes: null,
    rows: table.liveRows,
    evidence: { reason, changes, threshold, liveRows: table.liveRows, lastAnalyzeAt: table.lastAnalyzeAt },
    remedy: remedyFor(table, context.databaseName),
  };
}

function severityOf(rows: number, isLeft: boolean): Severity {
  if (rows < FEW || !isLeft) return 'INFO';
  return rows >= MANY ? 'WARNING' : 'NOTICE';
}

function inWords({ table, reason, changes, threshold }: Stale): string {
  const due = Math.round(threshold);
  if (reason === 'NEVER_ANALYZED')
    return table.kind === 'PARTITIONED'
      ? 'The partitioned table itself has no statistics: plans over several partitions guess how many values differ.'
      : 'The planner knows nothing of its columns and guesses how many rows a condition leaves.';
  const since = `since ${table.lastAnalyzeAt?.slice(0, 16).replace('T', ' ') ?? 'the last ANALYZE'}`;
  return table.kind === 'PARTITIONED'
    ? `At least ${changes} rows of its partitions have changed ${since}; ${due} would be a reason to analyse.`
    : `${changes} rows have changed ${since}; by its settings ANALYZE is due from ${due} on.`;
}

function whoComes(table: MeasuredTable, { figures }: AnalysisContext): string {
  if (table.kind === 'PARTITIONED')
    return 'Autovacuum analyses its partitions, never the partitioned table: do it yourself, after loads and on a schedule.';
  const { off } = tableSettings(figures.vacuum, table.oid);
  return off === null ? 'Autovacuum is on for it, and has not come.' : OFF[off];
}

const OFF: Readonly<Record<'SERVER' | 'COUNTERS' | 'TABLE', string>> = {
  SERVER: 'Autovacuum, which would do it, is off for the whole server (autovacuum = off).',
  COUNTERS: 'track_counts is off: autovacuum does not come without it.',
  TABLE: 'Autovacuum, which would do it, is off for this table (autovacuum_enabled).',
};

/** The plan takes no partitioned table: it is analysed by hand. */
const remedyFor = ({ kind, schema, name }: MeasuredTable, database: string) =>
  kind === 'PARTITIONED'
    ? null
    : planRemedy('Reorganization', 'Plan an ANALYZE: it renews the statistics.', {
        database,
        schema,
        table: name,
        method: 'ANALYZE',
      });

/** Columns that ANALYZE leaves out because somebody said so. A partition has it from its table. */
async function withoutTarget(context: AnalysisContext): Promise<FoundFault[]> {
  const rows = await readCatalog<{ oid: number; columns: string[] }>(
    context.session,
    sql`SELECT c.oid AS oid, pg_catalog.json_agg(a.attname ORDER BY a.attnum) AS columns
          FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE a.attstattarget = 0 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'm', 'p')
           AND c.relpersistence <> 't' AND ${userSchemas}
         GROUP BY c.oid ORDER BY c.oid`,
  );
  const columns = new Map(rows.map((row) => [row.oid, row.columns]));
  return context.figures.tables.flatMap((table) => {
    const own = columns.get(table.oid);
    if (own === undefined || table.liveRows < FEW || columns.has(table.parentOid ?? 0)) return [];
    return [targetFault(table, own)];
  });
}

function targetFault(table: MeasuredTable, columns: readonly string[]): FoundFault {
  const { schema, name } = table;
  const changes = columns.map((column) => sql`ALTER COLUMN ${ident(column)} SET STATISTICS -1`);
  return {
    kind: 'STALE_STATISTICS',
    severity: 'INFO',
    schema,
    table: name,
    index: null,
    columns,
    title: `${schema}.${name}: ANALYZE leaves out ${columns.join(', ')}`,
    detail:
      'The statistics target is 0: ANALYZE gathers nothing, and the planner guesses wherever a condition names the column. That is right for wide values that nobody ' +
      `searches. Otherwise: ${toText(sql`ALTER TABLE ${ident(schema, name)} ${join(changes, ', ')}`)}; then ANALYZE.`,
    wastedBytes: null,
    rows: table.liveRows,
    evidence: { reason: 'TARGET_ZERO', columns },
    remedy: null,
  };
}
