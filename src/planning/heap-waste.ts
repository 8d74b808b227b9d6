import type { MeasuredTable } from '../analysis/define-analysis.ts';
import { estimateHeap } from '../analysis/estimate-heap.ts';
import { estimateToast } from '../analysis/estimate-toast.ts';
import type { Packing } from '../analysis/pack-rows.ts';
import { readColumns } from '../analysis/read-columns.ts';
import { readTables } from '../analysis/read-tables.ts';
import { sampleTables, SAMPLING_BUDGET } from '../analysis/sample-rows.ts';
import { PAGE_BYTES } from '../analysis/tuple-size.ts';
import type { Relation } from '../target/catalog.ts';
import type { PlanContext } from './plan-context.ts';

/** The rows and pages of a table, and how many pages its rows would need. */
export interface HeapWaste {
  readonly rows: number;
  readonly pages: number;
  /** null: not known */
  readonly neededPages: number | null;
  /** why it is not known, and what would help */
  readonly doubt: string | null;
  readonly toastBytes: number;
  /** what lies free in the TOAST table; null: not known */
  readonly toastWaste: number | null;
  /** rows from before still have their bytes */
  readonly hasDroppedColumns: boolean;
}

const UNREAD: HeapWaste = {
  rows: 0,
  pages: 0,
  neededPages: null,
  doubt: 'The table is locked, or was dropped just now. Plan again.',
  toastBytes: 0,
  toastWaste: null,
  hasDroppedColumns: false,
};

/** By a sample of the rows, or else by the statistics; apart from the TOAST table, which is another file. */
export async function readHeapWaste(
  { session, deps }: Pick<PlanContext, 'session' | 'deps'>,
  { schema, name, oid }: Relation,
): Promise<HeapWaste> {
  const scope = { schema, table: name };
  const row = (await readTables(session, scope)).find((table) => table.oid === oid);
  if (!row || row.locked) return UNREAD;
  const table = { ...row, columns: (await readColumns(session, scope)).get(oid) ?? [] };
  const sample = (await sampleTables(session, [table], deps.clock, SAMPLING_BUDGET)).get(oid) ?? null;
  const heap = estimateHeap(table, sample?.heap ?? null);
  return {
    rows: table.liveRows,
    pages: table.pages.count,
    ...(heap.known
      ? { neededPages: Math.ceil(heap.neededBytes / PAGE_BYTES), doubt: null }
      : { neededPages: null, doubt: `${heap.detail} ${heap.advice}` }),
    ...toastOf(table, sample?.toast ?? null),
    hasDroppedColumns: table.columns.some(({ dropped }) => dropped),
  };
}

function toastOf(
  { toast }: Pick<MeasuredTable, 'toast'>,
  sample: Packing | null,
): Pick<HeapWaste, 'toastBytes' | 'toastWaste'> {
  if (toast === null) return { toastBytes: 0, toastWaste: 0 };
  const toastBytes = toast.pages.count * PAGE_BYTES;
  const estimate = estimateToast(toast, sample);
  return { toastBytes, toastWaste: estimate.known ? Math.max(0, toastBytes - estimate.neededBytes) : null };
}
