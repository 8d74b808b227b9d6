import type { ColumnFigures } from './define-analysis.ts';

export const PAGE_BYTES = 8192;
/** a page of a table without its header */
export const PAGE_ROOM = PAGE_BYTES - 24;
export const LINE_POINTER = 4;
/** of a row of a table, without its null bitmap */
export const TUPLE_HEADER = 23;

/** What PostgreSQL calls MAXALIGN on every platform that matters. */
export const alignUp = (bytes: number) => Math.ceil(bytes / 8) * 8;

/** Above this a varlena has a header of four bytes and is aligned; up to it one byte, and it is not. */
export const LONGEST_SHORT_VARLENA = 127;

export interface DataSize {
  /** mean bytes of a row's values with the padding between and after them */
  readonly bytes: number;
  /** probability that at least one value is NULL, so that there is a null bitmap */
  readonly anyNull: number;
  /** every row is of this very size */
  readonly isConstant: boolean;
}

/**
 * Walks the columns as heap_form_tuple does and keeps, instead of one offset, the probability of each offset modulo 8:
 * padding after a value of varying length is then the mean over all of them. Null when a column's width is not known.
 */
export function dataSize(columns: readonly ColumnFigures[]): DataSize | null {
  let offsets: Offsets = [1, 0, 0, 0, 0, 0, 0, 0];
  let bytes = 0;
  let noNull = 1;
  for (const column of columns) {
    const width = widthOf(column);
    if (width === null) return null;
    const stored = 1 - width.nullShare;
    noNull *= stored;
    const step = placed(offsets, column, width);
    bytes += stored * step.bytes;
    offsets = offsets.map((p, i) => width.nullShare * p + stored * (step.offsets[i] ?? 0)) as Offsets;
  }
  bytes += offsets.reduce((sum, p, offset) => sum + p * ((8 - offset) % 8), 0);
  return { bytes, anyNull: 1 - noNull, isConstant: offsets.includes(1) };
}

type Offsets = [number, number, number, number, number, number, number, number];
const ANYWHERE: Offsets = [1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 8];

interface Width {
  readonly bytes: number;
  readonly varies: boolean;
  readonly nullShare: number;
}

/** Dropped and virtual columns are stored as NULL in every row that is written from now on. */
function widthOf(column: ColumnFigures): Width | null {
  if (column.dropped || column.isVirtual) return { bytes: 0, varies: false, nullShare: 1 };
  const known = column.statistics;
  if (!known && !column.notNull) return null;
  const nullShare = known?.nullShare ?? 0;
  if (column.length > 0) return { bytes: column.length, varies: false, nullShare };
  if (!known) return null;
  if (column.padded !== null && column.padded === known.averageWidth) {
    return { bytes: column.padded, varies: false, nullShare };
  }
  // avg_width is cut to a whole number: half a byte is lost on average
  return { bytes: known.averageWidth + 0.5, varies: true, nullShare };
}

function placed(offsets: Offsets, column: ColumnFigures, width: Width): { bytes: number; offsets: Offsets } {
  const packed = column.length < 0 && column.storage !== 'p' && width.bytes <= LONGEST_SHORT_VARLENA;
  const align = packed ? 1 : column.align;
  let padding = 0;
  const after: Offsets = [0, 0, 0, 0, 0, 0, 0, 0];
  offsets.forEach((p, offset) => {
    const pad = (align - (offset % align)) % align;
    padding += p * pad;
    const end = (offset + pad + Math.round(width.bytes)) % 8;
    after[end] = (after[end] ?? 0) + p;
  });
  return { bytes: padding + width.bytes, offsets: width.varies ? ANYWHERE : after };
}
