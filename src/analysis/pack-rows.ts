import type { ColumnFigures } from './define-analysis.ts';
import {
  alignUp,
  LINE_POINTER,
  LONGEST_SHORT_VARLENA,
  PAGE_BYTES,
  PAGE_ROOM,
  TUPLE_HEADER,
} from './tuple-size.ts';

/** A longer row has its largest values moved out, until it is no longer than the table's toast_tuple_target. */
const LONGEST_ROW = 2032;
/** Values of storage MAIN leave their row only when it would not fit into a page. */
const LONGEST_MAIN_ROW = 8160;
/** what stays in the row of a value that lives in the TOAST table */
const POINTER = 18;
/** Smaller values gain nothing by moving. */
const SMALLEST_MOVED = 24;
const CHUNK = 1996;
/** of a chunk's row: tuple header, value's id, number, the bytes' own header */
const CHUNK_HEADER = 36;

/** How rows lie in the pages of a relation that was just rewritten. */
export interface Packing {
  readonly pagesPerRow: number;
  /** mean, with header, padding and line pointer */
  readonly bytesPerRow: number;
}

/** A row as it was sampled, one number a column: 0 is NULL, less than 0 the size of a value in the TOAST table. */
export type SampledRow = readonly number[];

export const packedHeap = (
  rows: readonly SampledRow[],
  columns: readonly ColumnFigures[],
  fillfactor: number,
): Packing | null =>
  packed(
    rows.map((row) => alignUp(rowLength(row, columns)) + LINE_POINTER),
    PAGE_ROOM - (PAGE_BYTES * (100 - fillfactor)) / 100,
  );

export const packedToast = (rows: readonly SampledRow[]): Packing | null =>
  packed(
    rows.flatMap((row) => row.filter((size) => size < 0).flatMap((size) => chunkRows(-size))),
    PAGE_ROOM,
  );

/** Fills page after page in turn, as VACUUM FULL does: no row goes back to an earlier page. */
function packed(rows: readonly number[], room: number): Packing | null {
  if (rows.length === 0) return null;
  let pages = 1;
  let free = room;
  for (const row of rows) {
    if (row > free && free < room) {
      pages += 1;
      free = room;
    }
    free -= row;
  }
  const bytes = rows.reduce((sum, row) => sum + row, 0);
  return { pagesPerRow: (pages - Math.max(free, 0) / room) / rows.length, bytesPerRow: bytes / rows.length };
}

function chunkRows(size: number): number[] {
  const full = Array<number>(Math.floor(size / CHUNK)).fill(alignUp(CHUNK_HEADER + CHUNK) + LINE_POINTER);
  const rest = size % CHUNK;
  return rest === 0 ? full : [...full, alignUp(CHUNK_HEADER + rest) + LINE_POINTER];
}

/** Walks the columns as heap_form_tuple does: header, null bitmap, alignment. */
function rowLength(row: SampledRow, columns: readonly ColumnFigures[]): number {
  const bitmap = row.includes(0) ? Math.ceil(columns.length / 8) : 0;
  let length = alignUp(TUPLE_HEADER + bitmap);
  row.forEach((size, i) => {
    const column = columns[i];
    if (size === 0 || column === undefined) return;
    if (size < 0) {
      length += POINTER;
      return;
    }
    const isShort = column.length < 0 && column.storage !== 'p' && size <= LONGEST_SHORT_VARLENA;
    const align = isShort ? 1 : column.align;
    length = Math.ceil(length / align) * align + size;
  });
  return length;
}

/**
 * Where the server cannot say which values live outside their row (before PostgreSQL 17), does to a row what it did when
 * it was written: moves the largest values out until it is short enough, those of storage MAIN last.
 */
export function withOutside(
  row: SampledRow,
  columns: readonly ColumnFigures[],
  toastTarget: number,
): SampledRow {
  const moved = [...row];
  if (rowLength(moved, columns) <= LONGEST_ROW) return moved;
  moveUntil(moved, columns, 'xe', toastTarget);
  moveUntil(moved, columns, 'm', LONGEST_MAIN_ROW);
  return moved;
}

function moveUntil(row: number[], columns: readonly ColumnFigures[], storages: string, target: number): void {
  while (rowLength(row, columns) > target) {
    let largest = -1;
    row.forEach((size, i) => {
      const isMovable = columns[i]?.length === -1 && storages.includes(columns[i].storage);
      if (isMovable && size > Math.max(SMALLEST_MOVED, row[largest] ?? 0)) largest = i;
    });
    if (largest < 0) return;
    row[largest] = -(row[largest] ?? 0);
  }
}
