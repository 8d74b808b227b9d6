import type { Bloat } from '../domain/finding.ts';
import type { HeapPages, MeasuredTable } from './define-analysis.ts';
import { type Estimate, estimateHeap, heapBytes, rowSize, type Unknown, WIDE_ROW } from './estimate-heap.ts';
import { estimateToast } from './estimate-toast.ts';
import { judgeTable, unknownBloat, type VacuumContext, type Waste, withoutFigures } from './judge-bloat.ts';
import { type RowSample, type SampledTable, SMALLEST_SAMPLED_BYTES } from './sample-rows.ts';
import { PAGE_BYTES } from './tuple-size.ts';

export type TableFacts = SampledTable;

/** What the verdict needs beside the table itself. */
export interface Surroundings extends VacuumContext {
  readonly sample: RowSample | null;
}

export type Cause = Bloat['causes'][number];

/** Few rows may hold most of the bytes: no small share of changes is safe. */
const CHANGED_SHARE = 0.01;

/**
 * Statistics are enough for most tables. A look at some rows is due where they do not tell (no statistics, old ones, values
 * outside, wide rows, columns that came or went later), and before anybody is told to do something.
 */
export function wantsSample(table: TableFacts, around: VacuumContext): boolean {
  if (toastBytes(table) >= SMALLEST_SAMPLED_BYTES) return true;
  if (table.countersLost) return false;
  const width = rowSize(table.columns);
  return (
    (width !== null && width.bytes >= WIDE_ROW) ||
    (table.changesSinceAnalyze > CHANGED_SHARE * table.liveRows && !isUniform(table)) ||
    table.columns.some((column) => column.dropped || column.addedLater) ||
    estimateTableBloat(table, { ...around, sample: null }).verdict !== 'HEALTHY'
  );
}

const toastBytes = ({ toast }: Pick<MeasuredTable, 'toast'>) => (toast?.pages.count ?? 0) * PAGE_BYTES;

/** Heap and TOAST together, from statistics, and a sample of the rows where there is one. */
export function estimateTableBloat(table: TableFacts, around: Surroundings): Bloat {
  const heap = estimateHeap(table, around.sample?.heap ?? null);
  const toast = toastEstimate(table, around.sample);
  if (!heap.known) return onlyDeadRows(table, heap, around);
  if (!toast.known) return onlyDeadRows(table, toast, around);
  const waste: Waste = {
    sizeBytes: sizeOf(table),
    neededBytes: neededOf(table, heap.neededBytes, toast.neededBytes),
    deadBytes: deadHeapBytes(table, table.deadRows, heap.rowBytes) + deadToastBytes(table, toast.rowBytes),
    method: 'STATISTICS',
    causes: droppedColumns(table),
  };
  return judgeTable(waste, table, around);
}

const deadToastBytes = ({ toast }: TableFacts, rowBytes: number) => (toast?.deadChunks ?? 0) * rowBytes;

/** Where so many rows are dead, VACUUM comes first whatever else is true. */
const MANY_DEAD = 0.2;

/** The dead may be wider than those that live, and still hold the bytes of dropped columns: many of them count by their share. */
export function deadHeapBytes(
  { pages, liveRows }: Pick<TableFacts, 'pages' | 'liveRows'>,
  deadRows: number,
  rowBytes: number,
): number {
  const byWidth = deadRows * rowBytes;
  const isMany = deadRows >= MANY_DEAD * (liveRows + deadRows);
  return isMany ? Math.max(byWidth, PAGE_BYTES * deadPages(pages, liveRows, deadRows)) : byWidth;
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
  if (bloat.verdict !== 'NEEDS_VACUUM' || table.locked) return unknownBloat(why);
  return isUniform(table) ? bloat : withoutFigures(bloat);
}

/** All rows are of one size, whichever have died. */
const isUniform = (table: TableFacts) =>
  toastBytes(table) === 0 && !hasDropped(table) && table.columns.every(({ length }) => length > 0);

const hasDropped = (table: TableFacts) => table.columns.some((column) => column.dropped);

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

export const sizeOf = (table: Pick<MeasuredTable, 'pages' | 'toast'>) =>
  table.pages.count * PAGE_BYTES + toastBytes(table);

/** Neither part can need more than it has: a page that looks too full is a guess that was too low. */
export const neededOf = (table: Pick<MeasuredTable, 'pages' | 'toast'>, heap: number, toast: number) =>
  Math.min(heap, table.pages.count * PAGE_BYTES) + Math.min(toast, toastBytes(table));

/** A TOAST table of a few pages is taken as it is. */
function toastEstimate(table: TableFacts, sample: RowSample | null): Estimate {
  const bytes = toastBytes(table);
  if (!table.toast || bytes < SMALLEST_SAMPLED_BYTES) return { known: true, neededBytes: bytes, rowBytes: 0 };
  return estimateToast(table.toast, sample?.toast ?? null);
}

export function droppedColumns(table: TableFacts): Cause[] {
  const count = table.columns.filter((column) => column.dropped).length;
  if (count === 0) return [];
  return [
    {
      code: 'DROPPED_COLUMNS',
      detail: `${count} columns were dropped; rows from before still hold their bytes, until a rewrite.`,
      pid: null,
    },
  ];
}
