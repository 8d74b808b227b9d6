import type { Bloat } from '../domain/finding.ts';
import { type ColumnFigures, percent } from './define-analysis.ts';
import { estimateHeap, roomOfRow, ROWS_VARY, rowSize, unknown } from './estimate-heap.ts';
import { judgeTable, unknownBloat, type Waste, withoutFigures } from './judge-bloat.ts';
import type { HeapMeasure, Meter, NotMeasured } from './measure-exact.ts';
import {
  type Cause,
  deadHeapBytes,
  droppedColumns,
  estimateTableBloat,
  neededOf,
  sizeOf,
  type Surroundings,
  type TableFacts,
} from './table-bloat.ts';
import { LINE_POINTER, PAGE_BYTES, PAGE_ROOM } from './tuple-size.ts';

/** Two answers that are further apart than this need a reason. */
const NOTABLE = 0.1;
/** pgstattuple does not count the padding at a row's end: half of it is lost on average. */
const MEAN_PADDING = 3.5;

/** Heap and TOAST together, by reading both; falls back on the statistics and says why. */
export async function measureTableBloat(
  table: TableFacts,
  around: Surroundings,
  meter: Meter,
): Promise<Bloat> {
  const estimate = estimateTableBloat(table, around);
  if (table.locked) return estimate;
  // Half a table tells nothing: when its TOAST table has no place in the budget, neither is read.
  const unread = meter.refuses(sizeOf(table));
  if (unread) return notMeasured(estimate, unread);
  const heap = await meter.heap(table.oid, table.pages.count * PAGE_BYTES);
  if ('code' in heap) return notMeasured(estimate, heap);
  const toast = table.toast ? await meter.heap(table.toast.oid, table.toast.pages.count * PAGE_BYTES) : EMPTY;
  if ('code' in toast) return notMeasured(estimate, toast);
  return judgeMeasured(table, around, { heap, toast, estimate });
}

const EMPTY: HeapMeasure = { rows: 0, rowBytes: 0, deadRows: 0, deadBytes: 0, freeBytes: 0 };

export const notMeasured = (estimate: Bloat, why: NotMeasured): Bloat => ({
  ...estimate,
  causes: [...estimate.causes, { ...why, pid: null }],
});

interface Measures {
  readonly heap: HeapMeasure;
  readonly toast: HeapMeasure;
  readonly estimate: Bloat;
}

function judgeMeasured(table: TableFacts, around: Surroundings, measures: Measures): Bloat {
  const { heap, toast } = measures;
  const byRows = neededByRows(table, around, heap.rows);
  const dropped = droppedColumns(table);
  const rowBytes = roomOfRow(measuredRow(table, heap), table.fillfactor);
  if (byRows === null && rowBytes === null) return unknownBloat(ROWS_VARY);
  const heapNeeded = byRows ?? Math.ceil((heap.rows * (rowBytes ?? 0)) / PAGE_BYTES) * PAGE_BYTES;
  const waste: Waste = {
    sizeBytes: sizeOf(table),
    neededBytes: neededOf(table, heapNeeded, toastNeeded(toast, around)),
    deadBytes: deadHeap(table, heap, heapNeeded) + deadToast(table, toast, around),
    method: 'SCAN',
    causes: dropped,
  };
  const bloat = judgeTable(waste, { ...table, deadRows: heap.deadRows }, around);
  if (byRows === null && hidesMuch(table.columns, heap)) return hiddenColumns(bloat, dropped);
  return { ...bloat, causes: [...bloat.causes, ...differences(table, around, measures, bloat)] };
}

/** By the width of new rows, where that is known and reading tells less: the bytes of dropped columns look alive. */
function neededByRows(table: TableFacts, around: Surroundings, rows: number): number | null {
  const sample = around.sample?.heap;
  if (sample) return Math.ceil(rows * sample.pagesPerRow) * PAGE_BYTES;
  if (!table.columns.some((column) => column.dropped || column.addedLater)) return null;
  const modelled = estimateHeap({ ...table, liveRows: rows }, null);
  return modelled.known ? modelled.neededBytes : null;
}

/** Columns that were dropped are in old rows and not in new ones; those that were added with a default the other way round. */
function hidesMuch(columns: readonly ColumnFigures[], heap: HeapMeasure): boolean {
  const changed = columns.filter((column) => column.dropped || column.addedLater);
  if (changed.some((column) => column.length < 0)) return true;
  return changed.reduce((sum, column) => sum + column.length, 0) > NOTABLE * heap.rowBytes;
}

function hiddenColumns(bloat: Bloat, dropped: readonly Cause[]): Bloat {
  if (bloat.verdict === 'NEEDS_VACUUM') return withoutFigures(bloat);
  return unknownBloat(
    unknown(
      dropped.length > 0 ? 'DROPPED_COLUMNS' : 'ADDED_COLUMNS',
      dropped.length > 0
        ? 'Reading counts the bytes of dropped columns as live.'
        : 'Columns were added with a default: rows from before do not hold it yet, and would after a rewrite.',
      'ANALYZE the table and GRANT SELECT on it: its statistics tell what the rows need.',
    ),
    dropped,
  );
}

function measuredRow(table: TableFacts, heap: HeapMeasure) {
  const isConstant = rowSize(table.columns)?.isConstant ?? false;
  const bytes = isConstant ? Math.ceil(heap.rowBytes / 8) * 8 : heap.rowBytes + MEAN_PADDING;
  return { bytes, isConstant };
}

const toastNeeded = (toast: HeapMeasure, around: Surroundings) =>
  Math.ceil(toast.rows / chunksPerPage(toast, around)) * PAGE_BYTES;

/**
 * Whoever reads a page may take dead rows out of it and leave their places only: pgstattuple then calls their room free, and
 * VACUUM is still due. The counters know of them.
 */
function deadHeap(table: TableFacts, heap: HeapMeasure, needed: number): number {
  const dead = Math.max(heap.deadRows, table.countersLost ? 0 : table.deadRows);
  if (heap.rows === 0) return dead === 0 ? 0 : table.pages.count * PAGE_BYTES;
  return deadHeapBytes({ pages: table.pages, liveRows: heap.rows }, dead, needed / heap.rows);
}

function deadToast(table: TableFacts, toast: HeapMeasure, around: Surroundings): number {
  const counted = table.toast?.countersLost ? 0 : (table.toast?.deadChunks ?? 0);
  return (Math.max(toast.deadRows, counted) / chunksPerPage(toast, around)) * PAGE_BYTES;
}

/** At least four chunks fit into a page; smaller ones leave about half of one free. */
function chunksPerPage(toast: HeapMeasure, { sample }: Surroundings): number {
  if (sample?.toast) return 1 / sample.toast.pagesPerRow;
  const mean = toast.rows === 0 ? toast.deadBytes / Math.max(toast.deadRows, 1) : toast.rowBytes;
  return Math.max((PAGE_ROOM - mean / 2) / (mean + MEAN_PADDING + LINE_POINTER), 4);
}

/** Why a plain reading, or the statistics, would have told another story. */
function differences(
  table: TableFacts,
  around: Surroundings,
  { heap, estimate }: Measures,
  bloat: Bloat,
): Cause[] {
  const ratio = bloat.ratio ?? 0;
  const free = heap.freeBytes / Math.max(table.pages.count * PAGE_BYTES, 1);
  const causes: Cause[] = [];
  if (table.fillfactor < 100 && free - ratio >= NOTABLE)
    causes.push(
      cause(
        'FILLFACTOR',
        `${percent(free)} of the table is free; fillfactor ${table.fillfactor} keeps it so.`,
      ),
    );
  if (estimate.ratio === null || Math.abs(estimate.ratio - ratio) < NOTABLE) return causes;
  const said = `Statistics alone said ${percent(estimate.ratio)}`;
  return [...causes, whyStatisticsDiffer(table, around, heap, said)];
}

function whyStatisticsDiffer(
  table: TableFacts,
  around: Surroundings,
  heap: HeapMeasure,
  said: string,
): Cause {
  if (Math.abs(heap.rows - table.liveRows) > NOTABLE * Math.max(heap.rows, table.liveRows)) {
    return cause(
      'ROWS_MISCOUNTED',
      `${said}: the counters tell ${table.liveRows} live rows, there are ${heap.rows} (ANALYZE).`,
    );
  }
  const modelled = rowSize(table.columns)?.bytes ?? around.sample?.heap?.bytesPerRow ?? 0;
  return cause(
    'STALE_WIDTH',
    `${said}: they know rows of ${Math.round(modelled)} bytes, there are rows of ${Math.round(heap.rowBytes)} (ANALYZE).`,
  );
}

const cause = (code: string, detail: string): Cause => ({ code, detail, pid: null });
