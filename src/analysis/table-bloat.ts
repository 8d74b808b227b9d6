import type { Bloat } from '../domain/finding.ts';
import type { ColumnFigures, HeapPages, MeasuredTable } from './define-analysis.ts';
import {
  type Estimate,
  estimateHeap,
  heapBytes,
  PAGE_BYTES,
  rowSize,
  type Unknown,
  unknown,
} from './estimate-heap.ts';
import { type ChunkPacking, estimateToast, SMALLEST_SAMPLED_BYTES } from './estimate-toast.ts';
import { judgeTable, unknownBloat, type VacuumContext, type Waste } from './judge-bloat.ts';
import type { HeapMeasure, Meter, NotMeasured } from './measure-exact.ts';
import type { TableRow } from './read-tables.ts';

export type TableFacts = TableRow & { readonly columns: readonly ColumnFigures[] };

/** What the verdict needs beside the table itself. */
export interface Surroundings extends VacuumContext {
  readonly packing: ChunkPacking | null;
}

type Cause = Bloat['causes'][number];

/** Heap and TOAST together, from statistics. */
export function estimateTableBloat(table: TableFacts, around: Surroundings): Bloat {
  const heap = estimateHeap(table);
  const toast = toastEstimate(table, around.packing);
  if (!heap.known) return onlyDeadRows(table, heap, around);
  if (!toast.known) return onlyDeadRows(table, toast, around);
  if (table.countersLost && heap.neededBytes < 0.8 * table.pages.count * PAGE_BYTES) {
    return unknownBloat(
      unknown(
        'COUNTERS_LOST',
        'There is free or dead room, but the counters that tell them apart were lost.',
        'VACUUM ANALYZE the table.',
      ),
    );
  }
  const waste: Waste = {
    sizeBytes: sizeOf(table),
    neededBytes: neededOf(table, heap.neededBytes, toast.neededBytes),
    deadBytes: table.deadRows * heap.rowBytes + (table.toast?.deadChunks ?? 0) * toast.rowBytes,
    method: 'STATISTICS',
    causes: droppedColumns(table),
  };
  return judgeTable(waste, table, around);
}

/** What a table needs is not known, but dead rows are counted: when they are many, VACUUM is due whatever else is true. */
function onlyDeadRows(table: TableFacts, why: Unknown, around: Surroundings): Bloat {
  const deadBytes =
    table.countersLost || !couldHold(table)
      ? 0
      : PAGE_BYTES * (deadPages(table.pages, table.liveRows, table.deadRows) + deadToastPages(table));
  const causes = [{ code: why.code, detail: why.detail, pid: null }];
  const waste: Waste = {
    sizeBytes: sizeOf(table),
    neededBytes: sizeOf(table) - deadBytes,
    deadBytes,
    method: 'STATISTICS',
    causes,
  };
  const bloat = judgeTable(waste, table, around);
  return bloat.verdict === 'NEEDS_VACUUM' && !table.locked ? bloat : unknownBloat(why);
}

/**
 * VACUUM FULL and CLUSTER leave the counter of dead rows as it was. It is believed where so many rows have room by the
 * density that was seen last (when the dead were alive), or where they fill the pages by the width that is known of them.
 */
export function couldHold(table: TableFacts): boolean {
  const { pages, liveRows, deadRows } = table;
  if (pages.rows < 0 || pages.counted === 0) return true;
  if (0.8 * (liveRows + deadRows) <= (pages.rows / pages.counted) * pages.count) return true;
  const row = rowSize(table.columns);
  if (row === null) return false;
  const filled = heapBytes(liveRows + deadRows, row, table.fillfactor) / (pages.count * PAGE_BYTES);
  return filled > 0.8 && filled < 1.2;
}

const deadPages = (pages: HeapPages, live: number, dead: number) =>
  dead === 0 ? 0 : (pages.count * dead) / (live + dead);

const deadToastPages = ({ toast }: TableFacts) =>
  toast ? deadPages(toast.pages, toast.liveChunks, toast.deadChunks) : 0;

const sizeOf = (table: MeasuredPages) => (table.pages.count + (table.toast?.pages.count ?? 0)) * PAGE_BYTES;
type MeasuredPages = Pick<MeasuredTable, 'pages' | 'toast'>;

/** Neither part can need more than it has: a page that looks too full is a guess that was too low. */
const neededOf = (table: MeasuredPages, heap: number, toast: number) =>
  Math.min(heap, table.pages.count * PAGE_BYTES) +
  Math.min(toast, (table.toast?.pages.count ?? 0) * PAGE_BYTES);

/** A TOAST table of a few pages is taken as it is. */
function toastEstimate(table: TableFacts, packing: ChunkPacking | null): Estimate & { rowBytes?: number } {
  const pages = table.toast?.pages.count ?? 0;
  if (!table.toast || pages * PAGE_BYTES < SMALLEST_SAMPLED_BYTES)
    return { known: true, neededBytes: pages * PAGE_BYTES, rowBytes: 0 };
  return estimateToast(table.toast, packing);
}

const droppedColumns = (table: TableFacts): Cause[] => {
  const count = table.columns.filter((column) => column.dropped).length;
  if (count === 0) return [];
  return [
    {
      code: 'DROPPED_COLUMNS',
      detail: `${count} columns were dropped; rows from before still hold their bytes, until a rewrite.`,
      pid: null,
    },
  ];
};

/** Heap and TOAST together, by reading both; falls back on the statistics and says why. */
export async function measureTableBloat(
  table: TableFacts,
  around: Surroundings,
  meter: Meter,
): Promise<Bloat> {
  const estimate = estimateTableBloat(table, around);
  if (table.locked) return estimate;
  const heap = await meter.heap(table.oid, table.pages.count * PAGE_BYTES);
  if ('code' in heap) return notMeasured(estimate, heap);
  const toast = table.toast ? await meter.heap(table.toast.oid, table.toast.pages.count * PAGE_BYTES) : EMPTY;
  if ('code' in toast) return notMeasured(estimate, toast);
  return judgeMeasured(table, around, heap, toast, estimate);
}

const EMPTY: HeapMeasure = { rows: 0, rowBytes: 0, deadRows: 0, deadBytes: 0 };

export const notMeasured = (estimate: Bloat, why: NotMeasured): Bloat => ({
  ...estimate,
  causes: [...estimate.causes, { ...why, pid: null }],
});

function judgeMeasured(
  table: TableFacts,
  around: Surroundings,
  heap: HeapMeasure,
  toast: HeapMeasure,
  estimate: Bloat,
): Bloat {
  const modelled = estimateHeap(table);
  const dropped = droppedColumns(table);
  const measured = heapBytes(heap.rows, measuredRow(table, heap), table.fillfactor);
  const heapNeeded =
    dropped.length > 0 && modelled.known ? Math.min(measured, modelled.neededBytes) : measured;
  const waste: Waste = {
    sizeBytes: sizeOf(table),
    neededBytes: neededOf(table, heapNeeded, toastNeeded(toast, around.packing)),
    deadBytes: heap.deadBytes + toast.deadBytes,
    method: 'SCAN',
    causes: dropped,
  };
  const bloat = judgeTable(waste, { ...table, deadRows: heap.deadRows }, around);
  if (dropped.length > 0 && !modelled.known && bloat.verdict === 'HEALTHY') {
    return unknownBloat(
      unknown(
        'DROPPED_COLUMNS',
        'Reading counts the bytes of dropped columns as live.',
        'ANALYZE the table; its statistics tell what the rows need.',
      ),
      dropped,
    );
  }
  return { ...bloat, causes: [...bloat.causes, ...difference(estimate, bloat)] };
}

/** pgstattuple does not count the padding at a row's end. */
function measuredRow(table: TableFacts, heap: HeapMeasure) {
  const isConstant = rowSize(table.columns)?.isConstant ?? false;
  return { bytes: isConstant ? Math.ceil(heap.rowBytes / 8) * 8 : heap.rowBytes + 3.5, isConstant };
}

function toastNeeded(toast: HeapMeasure, packing: ChunkPacking | null): number {
  if (packing !== null) return Math.ceil(toast.rows * packing.pagesPerChunk) * PAGE_BYTES;
  const perPage = Math.max((PAGE_BYTES - 24) / (toast.rowBytes + 3.5 + 4), 4);
  return Math.ceil(toast.rows / perPage) * PAGE_BYTES;
}

/** An estimate that a measurement contradicts says what misled it. */
function difference(estimate: Bloat, measured: Bloat): Cause[] {
  if (estimate.ratio === null || measured.ratio === null || Math.abs(estimate.ratio - measured.ratio) < 0.1)
    return [];
  const why =
    estimate.ratio > measured.ratio
      ? 'the statistics know narrower rows than there are now (ANALYZE)'
      : 'the statistics know wider or more rows than there are now (ANALYZE)';
  return [
    {
      code: 'ESTIMATE_DIFFERS',
      detail: `Statistics alone said ${Math.round(estimate.ratio * 100)} %: ${why}.`,
      pid: null,
    },
  ];
}
