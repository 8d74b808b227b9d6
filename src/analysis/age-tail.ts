import type { Session } from '../target/session.ts';
import { fromCatalog, ident, join, type Sql, sql, typedArray, typedValue } from '../target/sql.ts';
import type { AgedColumn, AgeType } from './age-column.ts';
import { AGES, type AgeDays, type AgeScale, scalesOf } from './age-scale.ts';
import { readCatalog } from './catalog-query.ts';
import type { MeasuredTable } from './define-analysis.ts';
import { staleness } from './estimate-heap.ts';
import { isNotRead, type NotRead, type RowReader } from './row-reader.ts';

/** How much of a table lies beyond each age, 0..1 of its rows. */
export interface Tail {
  readonly older: Readonly<Record<AgeDays, number>>;
  readonly method: 'STATISTICS' | 'SAMPLE' | 'COUNT';
  readonly scale: AgeScale;
  /** of rows whose value is no time: -infinity, or 0 in a number; they count as of no age */
  readonly timeless: number;
}

/** One table that holds rows, and the column that tells their age. */
export interface AgedTable {
  readonly table: MeasuredTable;
  readonly column: AgedColumn;
}

/** null: whole numbers that are no times. */
export type TailAnswer = Tail | NotRead | null;

/** Sampling costs reads: so many tables in one analysis, so many pages each. */
const SAMPLED_TABLES = 20;
const SAMPLED_PAGES = 300;
/** Of the numbers in a column of times, so many lie where times lie. */
const TIMES = 0.9;

interface Sources {
  readonly session: Session;
  readonly rows: RowReader;
  readonly now: Date;
}

/** By the table's OID. Statistics tell at no cost; where they are missing or stale, some pages are read. */
export async function readTails(
  sources: Sources,
  aged: readonly AgedTable[],
): Promise<Map<number, TailAnswer>> {
  const answers = new Map<number, TailAnswer>();
  const fresh = aged.filter(({ table }) => staleness(table) === null && !table.countersLost);
  for (const [type, list] of Map.groupBy(fresh, ({ column }) => column.type)) {
    for (const [oid, answer] of await tailsByStatistics(sources, type, list)) answers.set(oid, answer);
  }
  const others = aged.filter(({ table }) => !answers.has(table.oid) && table.readable && !table.locked);
  others.sort((a, b) => b.table.heapBytes - a.table.heapBytes || a.table.oid - b.table.oid);
  for (const one of others.slice(0, SAMPLED_TABLES))
    answers.set(one.table.oid, await tailBySample(sources, one));
  return answers;
}

/** Of numbers in three scales: where one fits, that one. */
async function tailsByStatistics(
  { session, now }: Sources,
  type: AgeType,
  aged: readonly AgedTable[],
): Promise<Map<number, Tail | null>> {
  const tails = new Map<number, Tail | null>();
  for (const scale of scalesOf(type, now)) {
    for (const row of await readCatalog<StatisticsRow>(session, statisticsQuery(scale, aged))) {
      const tail = tailOf(row, scale);
      if (tail !== null || !tails.has(row.oid)) tails.set(row.oid, tail);
    }
  }
  return tails;
}

interface StatisticsRow {
  oid: number;
  null_share: number;
  common_share: number;
  /** shares of all rows: times, no times, and older than each age */
  common: number[];
  /** numbers of bounds, in the same order */
  bounds: number[];
  bound_count: number;
}

const typed = (value: string, { type }: AgeScale) => typedValue(value, type);

/** The values are compared in their own type: a date may lie beyond what a timestamp can be. */
function statisticsQuery(scale: AgeScale, aged: readonly AgedTable[]): Sql {
  const names = [
    aged.map(({ table }) => table.schema),
    aged.map(({ table }) => table.name),
    aged.map(({ column }) => column.name),
  ].map((list) => sql`pg_catalog.unnest(${list}::text[])`);
  const wanted = [sql`pg_catalog.unnest(${aged.map(({ table }) => String(table.oid))}::int8[])`, ...names];
  const values = (column: Sql) => sql`${column}::text::${fromCatalog(scale.type)}[]`;
  const figures = (figure: (condition: Sql) => Sql) =>
    join(conditionsOn(sql`m.value`, scale).map(figure), ', ');
  return sql`
    SELECT w.oid::float8 AS oid, s.null_frac::float8 AS null_share,
           coalesce((SELECT pg_catalog.sum(f) FROM pg_catalog.unnest(s.most_common_freqs) f), 0)::float8 AS common_share,
           (SELECT ARRAY[${figures((condition) => sql`coalesce(pg_catalog.sum(m.share) FILTER (WHERE ${condition}), 0)::float8`)}]
              FROM ROWS FROM (pg_catalog.unnest(${values(sql`s.most_common_vals`)}), pg_catalog.unnest(s.most_common_freqs)) m (value, share)) AS common,
           (SELECT ARRAY[${figures((condition) => sql`pg_catalog.count(*) FILTER (WHERE ${condition})::float8`)}]
              FROM pg_catalog.unnest(${values(sql`s.histogram_bounds`)}) m (value)) AS bounds,
           coalesce(pg_catalog.cardinality(${values(sql`s.histogram_bounds`)}), 0)::float8 AS bound_count
      FROM ROWS FROM (${join(wanted, ', ')}) w (oid, schema, name, attname)
      JOIN pg_catalog.pg_stats s ON s.schemaname = w.schema AND s.tablename = w.name AND s.attname = w.attname AND NOT s.inherited
     WHERE s.histogram_bounds IS NOT NULL OR s.most_common_vals IS NOT NULL
     ORDER BY w.oid`;
}

/** A time; no time; older than each age. */
const conditionsOn = (value: Sql, scale: AgeScale): Sql[] => [
  sql`${value} >= ${typed(scale.from, scale)} AND ${value} <= ${typed(scale.to, scale)} AND ${value} > ${typed(scale.floor, scale)}`,
  sql`${value} <= ${typed(scale.floor, scale)}`,
  ...scale.cutoffs.map(
    (_, i) =>
      sql`${value} > ${typed(scale.floor, scale)} AND ${value} < (${typedArray(scale.cutoffs, scale.type)})[${fromCatalog(String(i + 1))}]`,
  ),
];

/** Common values are counted one by one; the histogram cuts the rest into parts of equal size. */
function tailOf(row: StatisticsRow, scale: AgeScale): Tail | null {
  const rest = Math.max(1 - row.null_share - row.common_share, 0);
  const shares = row.common.map((common, i) => {
    const among = row.bounds[i] ?? 0;
    const all = row.bound_count;
    const part = all < 2 || among === 0 ? 0 : among === all ? 1 : (among - 0.5) / (all - 1);
    return Math.min(common + rest * part, 1);
  });
  return tailFrom(shares, 1 - row.null_share, scale, 'STATISTICS');
}

function tailFrom(
  shares: readonly number[],
  filled: number,
  scale: AgeScale,
  method: Tail['method'],
): Tail | null {
  const [times = 0, timeless = 0, ...older] = shares;
  if (scale.unit !== null && times < (filled - timeless) * TIMES) return null;
  if (scale.unit !== null && times === 0) return null;
  return { older: byAge(older), method, scale, timeless };
}

const byAge = (shares: readonly number[]) => ({
  30: shares[0] ?? 0,
  90: shares[1] ?? 0,
  365: shares[2] ?? 0,
});

const sampleOf = (share: number) => sql`TABLESAMPLE system (${String(share)}::float4) REPEATABLE (1)`;

interface CountRow {
  rows: number;
  filled: number;
  counts: number[];
}

async function tailBySample({ rows, now }: Sources, aged: AgedTable): Promise<TailAnswer> {
  const share = Math.min(100, (100 * SAMPLED_PAGES) / Math.max(aged.table.pages.count, 1));
  for (const scale of scalesOf(aged.column.type, now)) {
    const answer = await rows.sample<CountRow>(countQuery(aged, scale, sampleOf(share)));
    if (isNotRead(answer)) return answer;
    if (answer.rows === 0) return { notRead: 'No row was on the pages that were sampled.' };
    const tail = tailOfCounts(answer, scale, 'SAMPLE');
    if (tail) return tail;
  }
  return null;
}

/** Every row, in the scale that is known by now. */
export async function countTail(rows: RowReader, aged: AgedTable, { scale }: Tail): Promise<Tail | NotRead> {
  const answer = await rows.whole<CountRow>(aged.table.heapBytes, countQuery(aged, scale, sampleOf(100)));
  if (isNotRead(answer)) return answer;
  return tailOfCounts(answer, scale, 'COUNT') ?? { notRead: 'Its numbers are no times any more.' };
}

function tailOfCounts({ rows, filled, counts }: CountRow, scale: AgeScale, method: Tail['method']) {
  const share = (count: number) => count / Math.max(rows, 1);
  return tailFrom(counts.map(share), share(filled), scale, method);
}

function countQuery({ table, column }: AgedTable, scale: AgeScale, sample: Sql): Sql {
  const value = sql`${ident('r', column.name)}${scale.unit === null ? sql`` : sql`::int8`}`;
  const counts = conditionsOn(value, scale).map(
    (condition) => sql`pg_catalog.count(*) FILTER (WHERE ${condition})::float8`,
  );
  return sql`SELECT pg_catalog.count(*)::float8 AS rows, pg_catalog.count(${value})::float8 AS filled, ARRAY[${join(counts, ', ')}] AS counts
               FROM ONLY ${ident(table.schema, table.name)} AS r ${sample}`;
}

/** Of several tables together, weighted by their rows; those without an answer count as all young. */
export function tailsTogether(
  parts: readonly { readonly rows: number; readonly tail: Tail | null }[],
): Tail | null {
  const known = parts.flatMap(({ rows, tail }) => (tail ? [{ rows, tail }] : []));
  const [first] = known;
  if (!first) return null;
  const all = parts.reduce((sum, { rows }) => sum + rows, 0);
  const mean = (figure: (tail: Tail) => number) =>
    known.reduce((sum, { rows, tail }) => sum + rows * figure(tail), 0) / Math.max(all, 1);
  const methods = new Set(known.map(({ tail }) => tail.method));
  return {
    older: byAge(AGES.map((days) => mean((tail) => tail.older[days]))),
    method: methods.size === 1 ? first.tail.method : methods.has('SAMPLE') ? 'SAMPLE' : 'STATISTICS',
    scale: first.tail.scale,
    timeless: mean((tail) => tail.timeless),
  };
}
