import type { ColumnFigures, MeasuredTable } from './define-analysis.ts';
import { alignUp, dataSize } from './tuple-size.ts';

export const PAGE_BYTES = 8192;
const PAGE_HEADER = 24;
const LINE_POINTER = 4;
/** A row that would be longer has its values compressed or moved to the TOAST table first. */
const LONGEST_ROW = 2032;
const TUPLE_HEADER = 23;
/** Statistics of a table of which a larger share has changed since ANALYZE say little about its rows now. */
const STALE_SHARE = 0.2;
const STALE_ROWS = 50;

/** What a relation needs when freshly rewritten, or why that cannot be told. */
export type Estimate = Known | Unknown;

export interface Known {
  readonly known: true;
  readonly neededBytes: number;
  /** of one row with its header, padding and line pointer */
  readonly rowBytes: number;
}

export interface Unknown {
  readonly known: false;
  readonly code: string;
  readonly detail: string;
  /** what would make it known */
  readonly advice: string;
}

export const unknown = (code: string, detail: string, advice: string): Unknown => ({
  known: false,
  code,
  detail,
  advice,
});

export type HeapSubject = Pick<
  MeasuredTable,
  | 'columns'
  | 'liveRows'
  | 'pages'
  | 'fillfactor'
  | 'locked'
  | 'readable'
  | 'lastAnalyzeAt'
  | 'changesSinceAnalyze'
  | 'countersLost'
>;

/** The size that VACUUM FULL would leave, from the statistics of the columns. */
export function estimateHeap(table: HeapSubject): Estimate {
  if (table.locked) return LOCKED;
  if (table.pages.count === 0) return { known: true, neededBytes: 0, rowBytes: 0 };
  const doubt = doubtAbout(table);
  if (doubt) return doubt;
  const row = rowSize(table.columns);
  if (row === null)
    return unknown('WIDTH_UNKNOWN', 'A column has no statistics that tell its width.', ANALYZE);
  const neededBytes = heapBytes(table.liveRows, row, table.fillfactor);
  return { known: true, neededBytes, rowBytes: row.bytes + LINE_POINTER };
}

export const LOCKED = unknown(
  'LOCKED',
  'Another session holds or awaits an ACCESS EXCLUSIVE lock; we do not queue behind it.',
  'Ask again when the lock is gone.',
);

const ANALYZE = 'Run ANALYZE on it (planReorganization with method ANALYZE), or measure it with exact.';

/** Why the statistics must not be trusted; null when they may. */
function doubtAbout(table: HeapSubject): Unknown | null {
  if (table.countersLost && Math.abs(table.pages.count - table.pages.counted) > 0.1 * table.pages.count) {
    return unknown(
      'COUNTERS_LOST',
      'The counters of rows were lost in a crash or a reset, and the size has changed since.',
      ANALYZE,
    );
  }
  if (!hasStatistics(table)) return withoutStatistics(table);
  return staleness(table);
}

/** The width of rows and the count of them are both as old as the last ANALYZE, but for what the counters have seen. */
export function staleness(
  table: Pick<HeapSubject, 'changesSinceAnalyze' | 'liveRows' | 'lastAnalyzeAt'>,
): Unknown | null {
  const changed = table.changesSinceAnalyze;
  if (changed <= STALE_ROWS + STALE_SHARE * table.liveRows) return null;
  if (table.lastAnalyzeAt === null)
    return unknown('NEVER_ANALYZED', 'The table has never been analysed.', ANALYZE);
  return unknown(
    'STATISTICS_STALE',
    `${changed} rows have changed since the last ANALYZE; there are ${table.liveRows} now.`,
    ANALYZE,
  );
}

/** Its size in a row is known without statistics. */
const isFixed = (column: ColumnFigures) => column.length > 0 && column.notNull;

const hasStatistics = (table: HeapSubject) =>
  table.columns.every(
    (column) => column.dropped || column.isVirtual || isFixed(column) || column.statistics !== null,
  );

function withoutStatistics(table: HeapSubject): Unknown {
  if (!table.readable) {
    return unknown(
      'STATISTICS_HIDDEN',
      'This role may not read the table, and PostgreSQL hides the statistics of its columns with it.',
      'GRANT SELECT on the table (or pg_read_all_data) to the role, or measure it with exact (pgstattuple, pg_stat_scan_tables).',
    );
  }
  if (table.columns.every((column) => column.statistics === null)) {
    return unknown(
      'NEVER_ANALYZED',
      'The table has never been analysed: nothing is known about the width of its rows.',
      ANALYZE,
    );
  }
  const names = table.columns
    .filter((c) => !c.dropped && !c.isVirtual && c.statistics === null)
    .map((c) => c.name);
  return unknown(
    'COLUMN_WITHOUT_STATISTICS',
    `There are no statistics for ${names.slice(0, 5).join(', ')}.`,
    ANALYZE,
  );
}

export interface RowSize {
  /** header, null bitmap, values and padding, aligned */
  readonly bytes: number;
  readonly isConstant: boolean;
}

export function rowSize(columns: readonly ColumnFigures[]): RowSize | null {
  const data = dataSize(columns);
  if (data === null) return null;
  const plain = alignUp(TUPLE_HEADER);
  const withBitmap = alignUp(TUPLE_HEADER + Math.ceil(columns.length / 8));
  const header = data.anyNull * withBitmap + (1 - data.anyNull) * plain;
  return {
    bytes: header + data.bytes,
    isConstant: data.isConstant && (withBitmap === plain || data.anyNull === 0 || data.anyNull === 1),
  };
}

/** Whole pages for so many rows, each page filled as the fillfactor allows. */
export function heapBytes(rows: number, row: RowSize, fillfactor: number): number {
  const kept = (PAGE_BYTES * (100 - fillfactor)) / 100;
  const room = PAGE_BYTES - PAGE_HEADER - kept;
  const each = Math.min(row.bytes, LONGEST_ROW) + LINE_POINTER;
  // Rows of one size leave the same rest on each page; others leave about half a row.
  const perPage = row.isConstant ? Math.floor(room / each) : (room - row.bytes / 2) / each;
  return Math.ceil(rows / Math.max(perPage, 1)) * PAGE_BYTES;
}
