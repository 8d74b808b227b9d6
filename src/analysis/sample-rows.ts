import type { Clock } from '../clock.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, join, sql, type Sql } from '../target/sql.ts';
import { isRefusal, readCatalog } from './catalog-query.ts';
import type { ColumnFigures } from './define-analysis.ts';
import { packedHeap, packedToast, type Packing, type SampledRow, withOutside } from './pack-rows.ts';
import type { TableRow } from './read-tables.ts';
import { PAGE_BYTES } from './tuple-size.ts';

/** How long sampling may take in a whole database, and of how many tables. */
export interface SamplingBudget {
  readonly ms: number;
  readonly tables: number;
}

export const SAMPLING_BUDGET: SamplingBudget = { ms: 5_000, tables: 200 };
/** Tables that one statement reads: fewer round trips, and a lock costs the time of few. */
const AT_ONCE = 10;
/** A smaller relation than this is not worth a look at its rows: nobody will be told to rewrite it. */
export const SMALLEST_SAMPLED_BYTES = 256 * 1024;
const SAMPLED_PAGES = 400;
/** Rows of one page were often written together, and are alike. */
const FEWEST_PAGES = 20;
const SAMPLED_ROWS = 20_000;
const SAMPLED_VALUES = 100_000;
/** A page may hold more rows than the mean; beyond this the sample would be cut at its end. */
const MARGIN = 2;

/** How the rows of a table, and the values outside them, would lie after a rewrite; null where no row was seen. */
export interface RowSample {
  readonly heap: Packing | null;
  readonly toast: Packing | null;
}

export type SampledTable = TableRow & { readonly columns: readonly ColumnFigures[] };

/** The largest tables first, until the time is up. */
export async function sampleTables(
  session: Session,
  tables: readonly SampledTable[],
  clock: Clock,
  budget: SamplingBudget,
): Promise<Map<number, RowSample>> {
  const deadline = clock.monotonicMs() + budget.ms;
  const samples = new Map<number, RowSample>();
  const largest = tables
    .filter(canBeSampled)
    .sort((a, b) => bytesOf(b) - bytesOf(a))
    .slice(0, budget.tables);
  for (let from = 0; from < largest.length && clock.monotonicMs() < deadline; from += AT_ONCE) {
    const some = largest.slice(from, from + AT_ONCE);
    for (const [oid, sample] of await sampleSome(session, some)) samples.set(oid, sample);
  }
  return samples;
}

/** In one statement; when it is refused, one by one, so that a lock or a right that is missing concerns one table only. */
async function sampleSome(
  session: Session,
  tables: readonly SampledTable[],
): Promise<(readonly [number, RowSample])[]> {
  try {
    return await readSamples(session, tables);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (tables.length === 1) return [];
    const samples: (readonly [number, RowSample])[] = [];
    for (const table of tables) samples.push(...(await sampleSome(session, [table])));
    return samples;
  }
}

const bytesOf = (table: SampledTable) => PAGE_BYTES * (table.pages.count + (table.toast?.pages.count ?? 0));

const canBeSampled = (table: SampledTable) =>
  table.readable &&
  !table.locked &&
  table.kind !== 'PARTITIONED' &&
  table.columns.length > 0 &&
  bytesOf(table) >= SMALLEST_SAMPLED_BYTES;

/** Sizes of the values of some rows; reads few pages of each table and none of its TOAST table. */
async function readSamples(
  session: Session,
  tables: readonly SampledTable[],
): Promise<(readonly [number, RowSample])[]> {
  const hasChunkIds = session.serverVersion >= 170_000;
  const queries = tables.map((table) => sampleQuery(table, hasChunkIds));
  const answers = await readCatalog<{ place: number; rows: SampledRow[] | null }>(
    session,
    sql`SELECT s.place, s.rows FROM (${join(
      queries.map((query, place) => sql`SELECT ${integer(place)} AS place, (${query}) AS rows`),
      ' UNION ALL ',
    )}) s ORDER BY s.place`,
  );
  return answers.flatMap(({ place, rows }) => {
    const table = tables[place];
    return table ? [[table.oid, packed(table, rows ?? [], hasChunkIds)] as const] : [];
  });
}

function packed(table: SampledTable, seen: readonly SampledRow[], hasChunkIds: boolean): RowSample {
  const rows = hasChunkIds ? seen : seen.map((row) => withOutside(row, table.columns, table.toastTarget));
  return { heap: packedHeap(rows, table.columns, table.fillfactor), toast: packedToast(rows) };
}

function sampleQuery(table: SampledTable, hasChunkIds: boolean): Sql {
  const sizes = table.columns.map((column) => storedSize(column, hasChunkIds));
  const limit = Math.min(SAMPLED_ROWS, Math.ceil(SAMPLED_VALUES / table.columns.length));
  return sql`
    SELECT pg_catalog.json_agg(w.sizes) FROM (
      SELECT ARRAY[${join(sizes, ', ')}]::int4[] AS sizes
        FROM ONLY ${ident(table.schema, table.name)} AS r TABLESAMPLE system (${String(sampledShare(table, limit))}::float4)
       LIMIT ${integer(MARGIN * limit)}) w`;
}

/** So many pages, spread over the table, that the rows in them are about as many as are wanted. */
function sampledShare(table: SampledTable, limit: number): number {
  const perPage = Math.max(table.liveRows / Math.max(table.pages.count, 1), 1);
  const wanted = Math.min(Math.max(limit / perPage, FEWEST_PAGES), SAMPLED_PAGES);
  return Math.min(100, (100 * wanted) / Math.max(table.pages.count, 1));
}

/** pg_column_size() of a value outside is its stored size; nothing is fetched or unpacked. See SampledRow. */
function storedSize(column: ColumnFigures, hasChunkIds: boolean): Sql {
  if (column.dropped || column.isVirtual) return sql`0`;
  const value = sql`r.${ident(column.name)}`;
  const size = sql`coalesce(pg_catalog.pg_column_size(${value}), 0)`;
  if (!hasChunkIds || column.length !== -1 || column.storage === 'p') return size;
  return sql`CASE WHEN pg_catalog.pg_column_toast_chunk_id(${value}) IS NOT NULL THEN -${size} ELSE ${size} END`;
}
