import type { FoundFault, Remedy } from '../../domain/finding.ts';
import { DEFAULT_MAX_SHARE } from '../../domain/limits.ts';
import { type AgedColumn, ageColumn } from '../age-column.ts';
import { AGES, type AgeDays, readTails, type Tail } from '../age-tail.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredTable,
  percent,
  severityOfBytes,
} from '../define-analysis.ts';
import { planRemedy } from '../remedies.ts';

const SMALLEST_ROWS = 1_000;
const SMALLEST_BYTES = 256 * 1024;
const LONG_TAIL = 0.1;
/** All rows are old: a table nobody adds to is reference data, or dead; age alone says nothing about it. */
const NOTHING_NEW = 0.99;

/** Tables of which a good part is older than anybody asks for, by the date column that tells age best. */
export const obsoleteRows = defineAnalysis({
  kind: 'OBSOLETE_ROWS',
  docs: 'docs/analyses/obsolete-rows.md',
  find: async (context) => {
    const candidates = context.figures.tables.flatMap((table) => candidateOf(table) ?? []);
    const tails = await readTails(context.session, candidates, context.now);
    return candidates.flatMap(({ table, column }) => {
      const tail = tails.get(table.oid);
      if (!tail) context.unsure({ schema: table.schema, table: table.name, index: null });
      return tail ? (faultOf(table, column, tail, context) ?? []) : [];
    });
  },
});

/** Partitions are left to the partitioned table: old ones are detached whole. */
function candidateOf(table: MeasuredTable): { table: MeasuredTable; column: AgedColumn } | null {
  if (table.kind !== 'TABLE' || table.parentOid !== null || table.liveRows < SMALLEST_ROWS) return null;
  if (table.heapBytes + table.toastBytes < SMALLEST_BYTES) return null;
  const column = ageColumn(table);
  return column && { table, column };
}

/** From which age on rows are obsolete. What expires, or is not seen again, is so sooner. */
const obsoleteAge = (column: AgedColumn): AgeDays => (column.isTransient ? 30 : 365);

const AGE_IN_WORDS: Readonly<Record<AgeDays, string>> = { 30: '30 days', 90: '90 days', 365: 'a year' };

function faultOf(
  table: MeasuredTable,
  column: AgedColumn,
  tail: Tail,
  context: AnalysisContext,
): FoundFault | null {
  const age = obsoleteAge(column);
  if (tail.older[age] < LONG_TAIL) return null;
  const older = AGES.map((days) => ({ days, ...amount(table, tail.older[days]) }));
  const { rows, bytes } = amount(table, tail.older[age]);
  if (rows < SMALLEST_ROWS || bytes < SMALLEST_BYTES) return null;
  const isStill = tail.older[30] >= NOTHING_NEW;
  return {
    kind: 'OBSOLETE_ROWS',
    severity: isStill || isReferenced(table) ? 'INFO' : severityOfBytes(bytes, context.figures.sizeBytes),
    schema: table.schema,
    table: table.name,
    index: null,
    columns: [column.name],
    title: `${percent(tail.older[age])} of ${table.schema}.${table.name} is older than ${AGE_IN_WORDS[age]} (${bytesInWords(bytes)})`,
    detail: inWords(table, column, older, tail, isStill),
    wastedBytes: bytes,
    rows,
    evidence: {
      column: column.name,
      chosenBecause: column.reason,
      method: tail.method,
      older,
      liveRows: table.liveRows,
      indexed: column.indexed,
    },
    remedy: remedyOf(table, column, tail.older[age], context.databaseName),
  };
}

/** Shares are estimates: a plan that finds a few rows more must not be kept from running. */
const SHARE_MARGIN = 0.05;

/** A share above the default limit is meant here: without a limit of its own the plan would be BLOCKED. */
function remedyOf(table: MeasuredTable, column: AgedColumn, share: number, database: string): Remedy {
  const age = obsoleteAge(column);
  const needed = Math.min(Math.ceil((share + SHARE_MARGIN) * 100) / 100, 1);
  const isLarge = needed > DEFAULT_MAX_SHARE;
  const summary = `Plan to archive rows older than ${AGE_IN_WORDS[age]} to files, from where they can be restored.`;
  const limit = ` That is ${percent(share)} of the table: limits.maxShare allows up to ${percent(needed)}, and on PRODUCTION somebody else has to approve.`;
  return planRemedy('Archive', isLarge ? summary + limit : summary, {
    database,
    schema: table.schema,
    table: table.name,
    where: { column: column.name, op: 'OLDER_THAN', age: `P${age}D` },
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    ...(isLarge ? { limits: { maxShare: needed } } : {}),
  });
}

/** Live rows only, in the heap and in TOAST: indexes shrink too, but not by a share that is known. */
function amount(table: MeasuredTable, share: number) {
  const live = Math.max(table.heapBytes + table.toastBytes - (table.bloat.wastedBytes ?? 0), 0);
  return { rows: Math.round(table.liveRows * share), bytes: Math.round(live * share) };
}

/** Customers are not obsolete because they came long ago: what others point to is known by more than its age. */
const isReferenced = (table: MeasuredTable) =>
  table.indexes.some((index) => index.duties.includes('FOREIGN_KEY_TARGET'));

function inWords(
  table: MeasuredTable,
  column: AgedColumn,
  older: readonly { days: number; rows: number; bytes: number }[],
  tail: Tail,
  isStill: boolean,
): string {
  const ages = older
    .map(({ days, rows, bytes }) => `${rows} rows (${bytesInWords(bytes)}) older than ${days} days`)
    .join(', ');
  const source = tail.method === 'STATISTICS' ? "the column's statistics" : 'a sample of pages';
  return (
    `By ${column.name} (${column.reason}): ${ages}; estimated from ${source}. ` +
    (isStill ? 'No row is newer than 30 days: it may be reference data that is meant to stay. ' : '') +
    (isReferenced(table) ? 'Other tables reference its rows. ' : '') +
    'Whether old rows are still read cannot be seen from outside: ask before they go. The plan counts them exactly and changes nothing.'
  );
}
