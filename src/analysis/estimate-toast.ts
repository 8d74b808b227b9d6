import type { Session } from '../target/session.ts';
import { ident, integer, join, sql } from '../target/sql.ts';
import { isRefusal, readCatalog } from './catalog-query.ts';
import type { ColumnFigures, ToastFigures } from './define-analysis.ts';
import { type Estimate, PAGE_BYTES, unknown } from './estimate-heap.ts';
import type { TableRow } from './read-tables.ts';
import { alignUp } from './tuple-size.ts';

const CHUNK = 1996;
/** of a chunk's row: tuple header, value's id, number, the bytes' own header */
const CHUNK_HEADER = 36;
const LINE_POINTER = 4;
const PAGE_ROOM = PAGE_BYTES - 24;
/** Wider than this a value lives in the TOAST table, as long as its row is not made for more (before PostgreSQL 17 a guess). */
const SURELY_OUTSIDE = 1_900;
/** A smaller TOAST table than this is not worth a look at the rows. */
export const SMALLEST_SAMPLED_BYTES = 256 * 1024;
const SAMPLED_PAGES = 200;
const SAMPLED_VALUES = 2_000;

/** How full a rewritten TOAST table is, by packing the sizes of a sample of its values in turn as VACUUM FULL does. */
export interface ChunkPacking {
  readonly pagesPerChunk: number;
  readonly bytesPerChunk: number;
}

export function packingOf(sizes: readonly number[]): ChunkPacking | null {
  const chunks = sizes.flatMap((size) => chunkRows(size));
  if (chunks.length === 0) return null;
  let pages = 1;
  let free = PAGE_ROOM;
  for (const row of chunks) {
    if (row > free) {
      pages += 1;
      free = PAGE_ROOM;
    }
    free -= row;
  }
  return {
    pagesPerChunk: (pages - free / PAGE_ROOM) / chunks.length,
    bytesPerChunk: chunks.reduce((sum, row) => sum + row, 0) / chunks.length,
  };
}

function chunkRows(size: number): number[] {
  const full = Array<number>(Math.floor(size / CHUNK)).fill(alignUp(CHUNK_HEADER + CHUNK) + LINE_POINTER);
  const rest = size % CHUNK;
  return rest === 0 ? full : [...full, alignUp(CHUNK_HEADER + rest) + LINE_POINTER];
}

export function estimateToast(toast: ToastFigures, packing: ChunkPacking | null): Estimate {
  const lost =
    toast.countersLost && Math.abs(toast.pages.count - toast.pages.counted) > 0.1 * toast.pages.count;
  if (lost) {
    return unknown(
      'TOAST_COUNTERS_LOST',
      'The counters of the TOAST table were lost in a crash or a reset.',
      'VACUUM the table.',
    );
  }
  if (toast.liveChunks === 0) return { known: true, neededBytes: 0, rowBytes: 0 };
  if (packing === null) {
    return unknown(
      'TOAST_UNSEEN',
      'How large the values in the TOAST table are can only be seen in the rows, which could not be sampled.',
      'GRANT SELECT on the table to the role, or measure it with exact (pgstattuple).',
    );
  }
  const neededBytes = Math.ceil(toast.liveChunks * packing.pagesPerChunk) * PAGE_BYTES;
  return { known: true, neededBytes, rowBytes: packing.bytesPerChunk };
}

/** Sizes of some values that live outside their rows; reads few pages of the table and none of the TOAST table. */
export async function samplePacking(
  session: Session,
  table: TableRow,
  columns: readonly ColumnFigures[],
): Promise<ChunkPacking | null> {
  const wide = columns.filter(
    (column) => column.length === -1 && !column.dropped && !column.isVirtual && 'xe'.includes(column.storage),
  );
  if (wide.length === 0 || !table.readable || table.locked) return null;
  const share = Math.min(100, (100 * SAMPLED_PAGES) / Math.max(table.pages.count, 1));
  const values = wide.map((column) => outsideSize(session.serverVersion, column.name));
  try {
    const [row] = await readCatalog<{ sizes: number[] | null }>(
      session,
      sql`SELECT pg_catalog.array_agg(w.size) AS sizes FROM (
            SELECT v.size::float8 AS size FROM ONLY ${ident(table.schema, table.name)} AS r TABLESAMPLE system (${String(share)}::float4),
                   LATERAL (VALUES ${join(values, ', ')}) v (size)
             WHERE v.size IS NOT NULL LIMIT ${integer(SAMPLED_VALUES)}) w`,
    );
    return packingOf(row?.sizes ?? []);
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
}

/** pg_column_size() of a value outside is its stored size; nothing is fetched or unpacked. */
function outsideSize(version: number, column: string) {
  const size = sql`pg_catalog.pg_column_size(r.${ident(column)})`;
  return version >= 170_000
    ? sql`(CASE WHEN pg_catalog.pg_column_toast_chunk_id(r.${ident(column)}) IS NOT NULL THEN ${size} END)`
    : sql`(CASE WHEN ${size} > ${integer(SURELY_OUTSIDE)} THEN ${size} END)`;
}
