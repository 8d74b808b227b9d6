import type { FoundFault } from '../../domain/finding.ts';
import { bestOrder } from '../column-order.ts';
import {
  type AnalysisContext,
  bytesInWords,
  type ColumnFigures,
  defineAnalysis,
  type MeasuredTable,
  percent,
  severityOfBytes,
} from '../define-analysis.ts';
import { heapBytes, rowSize, staleness } from '../estimate-heap.ts';
import { readExtensionTables } from '../extension-tables.ts';
import { type WholeTable, wholeTables } from '../whole-tables.ts';

const SMALLEST_BYTES = 1024 * 1024;
const SMALLEST_SHARE = 0.03;
/** Longer rows are cut down by compression and TOAST: their padding is lost among them. */
const LONGEST_ROW = 2000;

/** Tables whose rows would be smaller, with the same columns in another order. */
export const paddedColumnOrder = defineAnalysis({
  kind: 'PADDED_COLUMN_ORDER',
  docs: 'docs/analyses/padded-column-order.md',
  find: async (context) => {
    const ofExtensions = await readExtensionTables(context.session);
    return wholeTables(context.figures.tables)
      .filter(({ root }) => !ofExtensions.has(root.oid))
      .flatMap((table) => judged(table, context) ?? []);
  },
});

interface Loss {
  readonly leaf: MeasuredTable;
  readonly now: readonly ColumnFigures[];
  readonly better: readonly ColumnFigures[];
  readonly rowBytes: { readonly now: number; readonly better: number };
  readonly bytes: number;
}

/** A partitioned table is judged as a whole, with the order that its largest partition shows. */
function judged(table: WholeTable, context: AnalysisContext): FoundFault | null {
  const { root } = table;
  const leaves = table.leaves.filter((leaf) => leaf.pages.count > 0);
  const heap = leaves.reduce((sum, leaf) => sum + leaf.heapBytes, 0);
  if (heap < SMALLEST_BYTES) return null;
  const losses: Loss[] = [];
  for (const leaf of leaves) {
    const loss = lossOf(leaf);
    if (loss === 'UNKNOWN') {
      context.unsure({ schema: root.schema, table: root.name, index: null }, WITHOUT_WIDTHS);
      return null;
    }
    if (loss) losses.push(loss);
  }
  const bytes = losses.reduce((sum, loss) => sum + loss.bytes, 0);
  const [largest] = losses.sort((a, b) => b.bytes - a.bytes);
  return largest && bytes >= SMALLEST_BYTES && bytes >= heap * SMALLEST_SHARE
    ? faultOf(root, leaves, largest, bytes, context)
    : null;
}

const WITHOUT_WIDTHS =
  'The widths of its columns are not known: never analysed, stale statistics, or no right to read them.';

const isDoubtful = (leaf: MeasuredTable) => leaf.locked || leaf.countersLost || staleness(leaf) !== null;

/** Null: its order is as good as any. */
function lossOf(leaf: MeasuredTable): Loss | 'UNKNOWN' | null {
  // Dropped columns would not come along into a new table, whatever its order.
  const now = leaf.columns.filter((column) => !column.dropped);
  const better = bestOrder(now);
  if (better === null) return null;
  const [padded, packed] = [rowSize(now), rowSize(better)];
  if (padded === null || packed === null || isDoubtful(leaf)) return 'UNKNOWN';
  if (padded.bytes > LONGEST_ROW) return null;
  const bytes =
    heapBytes(leaf.liveRows, padded, leaf.fillfactor) - heapBytes(leaf.liveRows, packed, leaf.fillfactor);
  return bytes > 0
    ? { leaf, now, better, rowBytes: { now: padded.bytes, better: packed.bytes }, bytes }
    : null;
}

function faultOf(
  root: MeasuredTable,
  leaves: readonly MeasuredTable[],
  { now, better, rowBytes }: Loss,
  bytes: number,
  context: AnalysisContext,
): FoundFault {
  const rows = leaves.reduce((sum, leaf) => sum + leaf.liveRows, 0);
  const heap = leaves.reduce((sum, leaf) => sum + leaf.heapBytes, 0);
  const lost = Math.round(rowBytes.now - rowBytes.better);
  const order = better.map((column) => column.name);
  return {
    kind: 'PADDED_COLUMN_ORDER',
    // It is never worth a rewrite of its own.
    severity: severityOfBytes(bytes, context.figures.sizeBytes) === 'INFO' ? 'INFO' : 'NOTICE',
    schema: root.schema,
    table: root.name,
    index: null,
    columns: [],
    title: `${root.schema}.${root.name} loses ${lost} bytes a row to alignment (${bytesInWords(bytes)}, ${percent(bytes / heap)})`,
    detail:
      `PostgreSQL starts many values at a multiple of 2, 4 or 8 bytes and leaves room unused before them. A row takes ${Math.round(rowBytes.now)} bytes, ` +
      `with the columns in another order ${Math.round(rowBytes.better)}: ${order.join(', ')}. The order of columns can only be chosen when a table is made: ` +
      'use it when the table is made anew for another reason, not for this alone. Statements that rely on the order (SELECT *, INSERT and COPY without a list of columns) see the new one.',
    wastedBytes: bytes,
    rows,
    evidence: {
      rowBytes: { now: Math.round(rowBytes.now), better: Math.round(rowBytes.better) },
      heapBytes: heap,
      order: now.map((column) => column.name),
      betterOrder: order,
    },
    remedy: null,
  };
}
