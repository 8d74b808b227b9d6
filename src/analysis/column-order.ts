import type { ColumnFigures } from './define-analysis.ts';
import { dataSize } from './tuple-size.ts';

/** Above this a varying value has a long header, and is aligned. */
const LONGEST_SHORT = 127;

/**
 * The order in which these columns take the least room, as far as their kinds tell it: fixed widths from the widest
 * alignment to the narrowest, so that each begins where the one before ends, then varying widths. Columns that are alike
 * keep their places. Null when the order that they have is as good.
 */
export function bestOrder(columns: readonly ColumnFigures[]): readonly ColumnFigures[] | null {
  const candidates = [sorted(columns, BYTES_FIRST), sorted(columns, LONG_FIRST)];
  // Without widths, an order that follows the rule is good, and another may not be.
  if (candidates.some((order) => isSame(order, columns))) return null;
  const now = dataSize(columns)?.bytes;
  if (now === undefined) return candidates[0] ?? null;
  const [best] = candidates
    .map((order) => ({ order, bytes: dataSize(order)?.bytes ?? now }))
    .sort((a, b) => a.bytes - b.bytes);
  return best && best.bytes < now ? best.order : null;
}

const isSame = (a: readonly ColumnFigures[], b: readonly ColumnFigures[]) =>
  a.every((column, i) => column === b[i]);

type Rank = (column: ColumnFigures) => number;

const sorted = (columns: readonly ColumnFigures[], rank: Rank) =>
  columns
    .map((column, i) => ({ column, i }))
    .sort((a, b) => rank(a.column) - rank(b.column) || a.i - b.i)
    .map(({ column }) => column);

/** A width that is no multiple of its alignment (timetz, macaddr) comes last among its likes: what follows needs less. */
const fixedRank: Rank = (column) => -2 * column.align + (column.length % column.align === 0 ? 0 : 1);

const isLong = (column: ColumnFigures) => (column.statistics?.averageWidth ?? 0) > LONGEST_SHORT;

/** Long varying values are aligned like integers, and start well behind whole words; short ones anywhere. */
const BYTES_FIRST: Rank = (column) => (column.length > 0 ? fixedRank(column) : isLong(column) ? 1 : 2);
const LONG_FIRST: Rank = (column) =>
  column.length > 0 ? (column.align === 1 ? 2 : fixedRank(column)) : isLong(column) ? 1 : 3;
