import type { ColumnFigures, MeasuredTable } from './define-analysis.ts';
import type { Packing } from './pack-rows.ts';
import { alignUp, dataSize, LINE_POINTER, PAGE_BYTES, PAGE_ROOM, TUPLE_HEADER } from './tuple-size.ts';

/** Past this autovacuum would analyse a table, with its default settings: statistics may be off by as much. */
const STALE_SHARE = 0.1;
const STALE_ROWS = 50;
/** A table that has grown by so much more than its rows has other rows than ANALYZE saw. */
const GROWN_SHARE = 0.15;
const GROWN_PAGES = 32;
/** A row as wide as this leaves much of a page free, or little. */
export const WIDE_ROW = 500;
const WIDEST_DOUBT = 0.12;

/** What a relation needs when freshly rewritten, or why that cannot be told. */
export type Estimate = Known | Unknown;

export interface Known {
  readonly known: true;
  readonly neededBytes: number;
  /** of its pages, that one row takes: with header, padding and what is kept free by the fillfactor */
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
  | 'deadRows'
  | 'pages'
  | 'fillfactor'
  | 'locked'
  | 'readable'
  | 'lastAnalyzeAt'
  | 'changesSinceAnalyze'
  | 'countersLost'
>;

/** The size that VACUUM FULL would leave, from a sample of the rows, or else from the statistics of the columns. */
export function estimateHeap(table: HeapSubject, sample: Packing | null = null): Estimate {
  if (table.locked) return LOCKED;
  if (table.pages.count === 0) return { known: true, neededBytes: 0, rowBytes: 0 };
  if (table.countersLost) return COUNTERS_LOST;
  if (sample) return filled(table.liveRows, sample.pagesPerRow * PAGE_BYTES);
  const doubt = doubtAbout(table);
  if (doubt) return doubt;
  const row = rowSize(table.columns);
  if (row === null)
    return unknown('WIDTH_UNKNOWN', 'A column has no statistics that tell its width.', ANALYZE);
  const rowBytes = roomOfRow(row, table.fillfactor);
  return rowBytes === null ? ROWS_VARY : filled(table.liveRows, rowBytes);
}

export const ROWS_VARY = unknown(
  'WIDTHS_VARY',
  'Rows are so wide that it depends on their neighbours how many fit into a page, and they could not be sampled.',
  'GRANT SELECT on the table to the role: a sample of the rows tells.',
);

const filled = (rows: number, rowBytes: number): Known => ({
  known: true,
  neededBytes: Math.ceil((rows * rowBytes) / PAGE_BYTES) * PAGE_BYTES,
  rowBytes,
});

const COUNTERS_LOST = unknown(
  'COUNTERS_LOST',
  'The counters of live and dead rows were lost in a crash or a reset, and nothing has counted them since.',
  'VACUUM ANALYZE the table (planReorganization with method VACUUM), or measure it with exact.',
);

export const LOCKED = unknown(
  'LOCKED',
  'Another session holds or awaits an ACCESS EXCLUSIVE lock; we do not queue behind it.',
  'Ask again when the lock is gone.',
);

const ANALYZE = 'Run ANALYZE on it (planReorganization with method ANALYZE), or measure it with exact.';

/** Why the statistics must not be trusted; null when they may. */
function doubtAbout(table: HeapSubject): Unknown | null {
  if (!hasStatistics(table)) return withoutStatistics(table);
  return staleness(table) ?? growth(table);
}

/** Few rows that were made much wider change a table's size, and not its count of changes. */
function growth({ pages, liveRows, deadRows, changesSinceAnalyze }: HeapSubject): Unknown | null {
  if (changesSinceAnalyze === 0 || pages.rows <= 0) return null;
  const expected = pages.counted * Math.max(1, (liveRows + deadRows) / pages.rows);
  if (pages.count - expected < Math.max(GROWN_SHARE * expected, GROWN_PAGES)) return null;
  return unknown(
    'STATISTICS_STALE',
    'The table has grown by more than its rows: they are wider than at the last ANALYZE.',
    ANALYZE,
  );
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
export const heapBytes = (rows: number, row: RowSize, fillfactor: number) =>
  Math.ceil(rows / rowsPerPage(row, fillfactor)) * PAGE_BYTES;

/**
 * Bytes of its pages that one row takes. Few wide rows fill a page: when they are much alike they leave a rest of one
 * size, else about half a row, and which of both is true the mean width does not tell. Null when that matters much.
 */
export function roomOfRow(row: RowSize, fillfactor: number): number | null {
  const varied = PAGE_BYTES / rowsPerPage(row, fillfactor);
  if (row.isConstant) return varied;
  const alike = PAGE_BYTES / rowsPerPage({ ...row, isConstant: true }, fillfactor);
  if (Math.abs(varied - alike) > WIDEST_DOUBT * varied) return null;
  return row.bytes < WIDE_ROW ? varied : (varied + alike) / 2;
}

/** Rows of one size leave the same rest on each page; others leave about half a row. */
function rowsPerPage(row: RowSize, fillfactor: number): number {
  const room = PAGE_ROOM - (PAGE_BYTES * (100 - fillfactor)) / 100;
  const each = row.bytes + LINE_POINTER;
  return Math.max(row.isConstant ? Math.floor(room / each) : (room - row.bytes / 2) / each, 1);
}
