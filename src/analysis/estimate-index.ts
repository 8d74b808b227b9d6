import type { ColumnFigures, MeasuredTable } from './define-analysis.ts';
import { type Estimate, LOCKED, staleness, type Unknown, unknown } from './estimate-heap.ts';
import type { IndexRow } from './read-indexes.ts';
import { alignUp, dataSize, LINE_POINTER, PAGE_BYTES } from './tuple-size.ts';

const TUPLE_HEADER = 8;
/** with the null bitmap, which has one size for all */
const TUPLE_HEADER_WITH_NULLS = 16;
/** a page without its header and the B-tree's own 16 bytes */
const PAGE_ROOM = PAGE_BYTES - 24 - 16;
const INNER_FILL = 0.7;
/** of a list of rows under one key, while an index is built */
const LONGEST_LIST = 812;
const ROW_PLACE = 6;
/** Wider values are compressed in an index, by an amount that nobody knows. */
const WIDEST_KEY = 400;
/** ANALYZE looks at so many rows (300 times default_statistics_target); distinct values beyond are an extrapolation. */
const SAMPLED_ROWS = 30_000;
/** Two guesses of the number of distinct values that lead to sizes further apart than this are no answer. */
const WIDEST_DOUBT = 0.15;

export type IndexSubject = Pick<
  MeasuredTable,
  'liveRows' | 'locked' | 'changesSinceAnalyze' | 'lastAnalyzeAt' | 'countersLost'
>;

/** The size that REINDEX would leave. B-trees only, with their deduplication; UNKNOWN when distinct values are a guess. */
export function estimateIndex(index: IndexRow, table: IndexSubject): Estimate {
  if (index.locked || table.locked) return LOCKED;
  if (index.method !== 'btree') {
    return unknown(
      'METHOD_NOT_MODELLED',
      `There is no model for ${index.method} indexes.`,
      'Compare its size with a fresh copy on a test server.',
    );
  }
  if (!index.isValid)
    return unknown(
      'INVALID',
      'The index is not valid: a build failed or is under way.',
      'Drop it and build it again.',
    );
  const doubt = doubtAbout(index, table);
  if (doubt) return doubt;
  const key = keySize(index);
  return key === null ? WIDTHS_HIDDEN : neededFor(index, key, rowsOf(index, table));
}

function neededFor(index: IndexRow, key: number, rows: number): Estimate {
  const [few, many] = index.deduplicates ? groupsOf(index, rows) : [ALL_APART, ALL_APART];
  const [least, most] = [few, many].map((groups) =>
    indexBytes(entriesBytes(groups, key, rows), key, index.fillfactor),
  ) as [number, number];
  if (most - least > WIDEST_DOUBT * index.sizeBytes) {
    return unknown(
      'DISTINCT_VALUES_UNKNOWN',
      'Equal keys share an entry, and statistics only guess how many differ: the index may need anything from ' +
        `${Math.round((100 * least) / index.sizeBytes)} to ${Math.round((100 * most) / index.sizeBytes)} % of its size.`,
      'Measure it with exact (pgstattuple).',
    );
  }
  return { known: true, neededBytes: (least + most) / 2, rowBytes: key + LINE_POINTER };
}

const UNCOUNTED = unknown(
  'ROWS_UNKNOWN',
  'How many rows the index holds has not been counted since it changed.',
  'Run ANALYZE or VACUUM on the table.',
);
const WIDTHS_HIDDEN = unknown(
  'WIDTH_UNKNOWN',
  'There are no statistics about the width of its keys, or this role may not see them.',
  'Run ANALYZE on the table, GRANT SELECT on it, or measure the index with exact (pgstattuple).',
);

/** A partial index has a count of its own, as old as the last VACUUM or ANALYZE. */
const rowsOf = (index: IndexRow, table: IndexSubject) =>
  index.predicate === null ? table.liveRows : Math.max(index.pages.rows, 0);

function doubtAbout(index: IndexRow, table: IndexSubject): Unknown | null {
  if (table.countersLost || (index.predicate !== null && index.pages.rows < 0)) return UNCOUNTED;
  const stored = index.keys.concat(index.included).map((key) => key.stored);
  if (stored.some((column) => column.length < 0 && (column.statistics?.averageWidth ?? 0) > WIDEST_KEY)) {
    return unknown(
      'KEYS_COMPRESSED',
      'Its keys are so wide that PostgreSQL compresses them.',
      'Measure it with exact (pgstattuple).',
    );
  }
  return staleness(table);
}

/** Bytes of an entry, aligned, without its line pointer. */
function keySize(index: IndexRow): number | null {
  const columns: ColumnFigures[] = index.keys.concat(index.included).map((key) => key.stored);
  const data = dataSize(columns);
  if (data === null) return null;
  return data.bytes + data.anyNull * TUPLE_HEADER_WITH_NULLS + (1 - data.anyNull) * TUPLE_HEADER;
}

/** Sets of equal keys: so many sets with so many rows together. */
type Groups = readonly { readonly sets: number; readonly rows: number }[];
const ALL_APART: Groups = [];

/** From the fewest to the most distinct keys that the statistics allow. A unique index is built without shared entries. */
function groupsOf(index: IndexRow, rows: number): [Groups, Groups] {
  if (index.isUnique) return [ALL_APART, ALL_APART];
  const [first] = index.keys;
  if (index.predicate !== null) return [[{ sets: 1, rows }], [{ sets: rows, rows }]];
  if (index.keys.length === 1 && first) return singleColumn(first.stored, rows);
  const ranges = index.keys.map((key) => distinctRange(key.stored, rows));
  const least = Math.max(...ranges.map(([few]) => few), 1);
  const most = Math.min(
    ranges.reduce((product, [, many]) => product * many, 1),
    rows,
  );
  return [[{ sets: least, rows }], [{ sets: most, rows }]];
}

/** NULLs, the common values and the rest are each modelled by themselves: few values may hold most of the rows. */
function singleColumn(column: ColumnFigures, rows: number): [Groups, Groups] {
  const nulls = (column.statistics?.nullShare ?? 0) * rows;
  const common = column.statistics?.common ?? { count: 0, share: 0 };
  const [few, many] = distinctRange(column, rows);
  const rest = Math.max(rows - nulls - common.share * rows, 0);
  const groups = (distinct: number): Groups => [
    { sets: nulls > 0 ? 1 : 0, rows: nulls },
    { sets: common.count, rows: common.share * rows },
    { sets: Math.min(Math.max(distinct - common.count, 1), Math.max(rest, 1)), rows: rest },
  ];
  return [groups(few), groups(many)];
}

function distinctRange(column: ColumnFigures, rows: number): [number, number] {
  const distinct = column.statistics?.distinct ?? 0;
  if (distinct === 0) return [1, rows];
  const guess = Math.min(distinct < 0 ? -distinct * rows : distinct, rows);
  if (distinct === -1 || rows <= SAMPLED_ROWS || guess < SAMPLED_ROWS / 100) return [guess, guess];
  return [guess, Math.min(guess * Math.min(3, Math.sqrt(rows / SAMPLED_ROWS)), rows)];
}

function entriesBytes(groups: Groups, key: number, rows: number): number {
  if (groups === ALL_APART) return rows * (key + LINE_POINTER);
  return groups.reduce((sum, group) => sum + groupBytes(group.sets, group.rows, key), 0);
}

function groupBytes(sets: number, rows: number, key: number): number {
  if (sets <= 0 || rows <= 0) return 0;
  const each = Math.max(rows / sets, 1);
  const longest = Math.max(Math.floor((LONGEST_LIST - key) / ROW_PLACE), 1);
  const lists = Math.ceil(each / longest);
  const places = each / lists;
  const list = places <= 1 ? key : shareOfLists(places, key);
  return (rows / each) * lists * (list + LINE_POINTER);
}

/** Between whole numbers of rows the size is the mean of its neighbours: a set of 1.5 rows is one row as often as two. */
function shareOfLists(places: number, key: number): number {
  const below = Math.floor(places);
  const size = (n: number) => (n <= 1 ? key : alignUp(key + ROW_PLACE * n));
  return size(below) * (1 - (places - below)) + size(below + 1) * (places - below);
}

/** Leaves filled up to the fillfactor, the levels above them, and the page that says where the root is. */
function indexBytes(entries: number, key: number, fillfactor: number): number {
  const room = PAGE_ROOM - (PAGE_BYTES * (100 - fillfactor)) / 100;
  const leaves = Math.max(Math.ceil(entries / room), entries > 0 ? 1 : 0);
  const fanout = Math.max((PAGE_ROOM * INNER_FILL) / (key + LINE_POINTER), 2);
  let pages = 1;
  for (let level = leaves; level > 1; level = Math.ceil(level / fanout)) pages += level;
  return (pages + (leaves > 0 ? 1 : 0)) * PAGE_BYTES;
}
