import type { FoundFault, Remedy } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { ident, sql, toText } from '../../target/sql.ts';
import { archiveRemedy } from '../age-remedy.ts';
import { AGE_IN_WORDS, AGES } from '../age-scale.ts';
import { readTails, type Tail } from '../age-tail.ts';
import {
  type AgedSubject,
  agedSubject,
  countedTails,
  isPointedTo,
  type LeafTail,
  leafTails,
  obsoleteAge,
  type Tails,
  tailOf,
  thingsPointedTo,
  untold,
} from '../aged-subject.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredTable,
  percent,
  severityOfBytes,
} from '../define-analysis.ts';
import { readHindrances, rowSubjects } from '../row-subjects.ts';

const SMALLEST_ROWS = 1_000;
const SMALLEST_BYTES = 256 * 1024;
const LONG_TAIL = 0.1;
/** All rows are old: a table nobody adds to is reference data, or dead; age alone says nothing about it. */
const NOTHING_NEW = 0.99;
/** A partition of which next to nothing is younger goes as a whole. */
const WHOLLY = 0.999;

/** Tables of which a good part is older than anybody asks for, by the date column that tells age best. */
export const obsoleteRows = defineAnalysis({
  kind: 'OBSOLETE_ROWS',
  docs: 'docs/analyses/obsolete-rows.md',
  find: async (context) => {
    const subjects = rowSubjects(context.figures);
    const aged = subjects.filter(isLarge).flatMap((subject) => agedSubject(subject) ?? []);
    const tails = await readTails(
      context,
      aged.flatMap(({ leaves, column }) => leaves.map((table) => ({ table, column }))),
    );
    const hindrances = await readHindrances(
      context.session,
      aged.filter((one) => untold(one, tails).length > 0).map(({ subject }) => subject),
    );
    const pointedTo = thingsPointedTo(subjects);
    const faults: FoundFault[] = [];
    for (const one of longestFirst(aged, tails)) {
      const hindrance = hindrances.get(one.subject.table.oid) ?? null;
      const isReferenced = isTarget(one) ? 'DECLARED' : isPointedTo(one.subject, pointedTo) ? 'NAMED' : null;
      const fault = await judge({ ...one, hindrance, isReferenced }, tails, context);
      if (fault) faults.push(fault);
    }
    return faults;
  },
});

const isLarge = ({ table }: AgedSubject['subject']) =>
  table.liveRows >= SMALLEST_ROWS && table.heapBytes + table.toastBytes >= SMALLEST_BYTES;

/** Customers are not obsolete because they came long ago: what others point to is known by more than its age. */
const isTarget = ({ subject }: AgedSubject) =>
  (subject.leaves[0]?.indexes ?? []).some((index) => index.duties.includes('FOREIGN_KEY_TARGET'));

interface Case extends AgedSubject {
  /** why its rows cannot be read */
  readonly hindrance: string | null;
  /** by other tables, with a foreign key or by a column's name */
  readonly isReferenced: 'DECLARED' | 'NAMED' | null;
}

/** What the budget for counting is spent on first. */
function longestFirst(aged: readonly AgedSubject[], tails: Tails): AgedSubject[] {
  const old = (one: AgedSubject) =>
    (tailOf(one, tails)?.older[obsoleteAge(one.column)] ?? 0) * one.subject.table.heapBytes;
  return [...aged].sort((a, b) => old(b) - old(a));
}

async function judge(one: Case, estimates: Tails, context: AnalysisContext): Promise<FoundFault | null> {
  const estimate = tailOf(one, estimates);
  const mayBeLong = estimate !== null && estimate.older[obsoleteAge(one.column)] >= LONG_TAIL / 2;
  const { tails, notCounted } =
    context.rows.exact && mayBeLong
      ? await countedTails(context.rows, one, estimates)
      : { tails: estimates, notCounted: null };
  const tail = tailOf(one, tails);
  const fault = tail && faultOf({ ...one, tail, tails, notCounted }, context);
  if (!fault) sayUnsure(one, tails, context);
  return fault;
}

function sayUnsure(
  { subject, column, hindrance, ...one }: Case,
  tails: Tails,
  context: AnalysisContext,
): void {
  const [first] = untold({ subject, column, ...one }, tails);
  if (!first) return;
  const { schema, name } = subject.table;
  const missing = `There are no fresh statistics of ${schema}.${name}.${column.name}, and it was not sampled; ANALYZE helps.`;
  context.unsure({ schema, table: name, index: null }, hindrance ?? first.why ?? missing);
}

interface Told extends Case {
  readonly tail: Tail;
  readonly tails: Tails;
  readonly notCounted: string | null;
}

function faultOf(one: Told, context: AnalysisContext): FoundFault | null {
  const { subject, column, tail } = one;
  const { table } = subject;
  const age = obsoleteAge(column);
  const { rows, bytes } = amount(table, tail.older[age]);
  if (tail.older[age] < LONG_TAIL || rows < SMALLEST_ROWS || bytes < SMALLEST_BYTES) return null;
  const whole = wholeParts(one);
  const doubts = doubtsAbout(one);
  return {
    kind: 'OBSOLETE_ROWS',
    severity: severityOf(one, bytes, context),
    schema: table.schema,
    table: table.name,
    index: null,
    columns: [column.name],
    title: `${percent(tail.older[age])} of ${table.schema}.${table.name} is older than ${AGE_IN_WORDS[age]} (${bytesInWords(bytes)})`,
    detail: inWords(one, whole, doubts, context.figures.tables),
    wastedBytes: bytes,
    rows,
    evidence: {
      column: column.name,
      chosenBecause: column.reason,
      unit: tail.scale.unit,
      method: tail.method,
      older: olderThan(one),
      liveRows: table.liveRows,
      indexed: column.indexed,
      partitions:
        table.kind === 'PARTITIONED'
          ? {
              all: subject.leaves.length,
              whollyOlder: whole.map(({ leaf }) => leaf.name).slice(0, MOST_NAMED),
            }
          : null,
      doubts,
    },
    remedy: remedyOf(one, context.databaseName),
  };
}

const MOST_NAMED = 20;

const olderThan = ({ subject, tail }: Told) =>
  AGES.map((days) => ({ days, ...amount(subject.table, tail.older[days]) }));

/** Partitions without a young row, the oldest by name first. */
const wholeParts = (one: Told): LeafTail[] =>
  one.subject.table.kind === 'PARTITIONED'
    ? leafTails(one, one.tails)
        .filter(({ tail }) => tail.older[obsoleteAge(one.column)] >= WHOLLY)
        .sort((a, b) => (a.leaf.name < b.leaf.name ? -1 : 1))
    : [];

const isStill = ({ tail }: Told) => tail.older[30] >= NOTHING_NEW;

const severityOf = (one: Told, bytes: number, context: AnalysisContext): Severity =>
  isStill(one) || one.isReferenced !== null || one.column.isGuess
    ? 'INFO'
    : severityOfBytes(bytes, context.figures.sizeBytes);

/** Live rows only, in the heap and in TOAST: indexes shrink too, but not by a share that is known. */
function amount(table: MeasuredTable, share: number) {
  const live = Math.max(table.heapBytes + table.toastBytes - (table.bloat.wastedBytes ?? 0), 0);
  return { rows: Math.round(table.liveRows * share), bytes: Math.round(live * share) };
}

const SOURCES = {
  STATISTICS: "estimated from the column's statistics",
  SAMPLE: 'estimated from a sample of pages',
  COUNT: 'counted',
} as const;

function doubtsAbout(one: Told): string[] {
  const { column, tail, tails, isReferenced } = one;
  const unknown = untold(one, tails).length;
  return [
    ...(isStill(one)
      ? ['No row is newer than 30 days: it may be reference data that is meant to stay.']
      : []),
    ...(isReferenced === 'DECLARED' ? ['Other tables reference its rows.'] : []),
    ...(isReferenced === 'NAMED'
      ? ['Other tables have columns that by their names reference its rows, though no foreign key says so.']
      : []),
    ...(column.isGuess ? ['What this date means cannot be told from its name.'] : []),
    ...(tail.timeless > 0
      ? [`${percent(tail.timeless)} of the rows have a value that is no time; they count as young.`]
      : []),
    ...(unknown > 0 ? [`Of ${unknown} partitions it could not be told; they count as young.`] : []),
  ];
}

function inWords(
  one: Told,
  whole: readonly LeafTail[],
  doubts: readonly string[],
  tables: readonly MeasuredTable[],
): string {
  const { column, tail, notCounted } = one;
  const unit = tail.scale.unit === null ? '' : `, in ${tail.scale.unit} since 1970`;
  const ages = olderThan(one)
    .map(({ days, rows, bytes }) => `${rows} rows (${bytesInWords(bytes)}) older than ${days} days`)
    .join(', ');
  return [
    `By ${column.name} (${column.reason}${unit}): ${ages}; ${SOURCES[tail.method]}.`,
    ...(notCounted === null ? [] : [`Not counted in full: ${notCounted}`]),
    ...doubts,
    ...partsInWords(one, whole, tables),
    'Whether old rows are still read cannot be seen from outside: ask before they go. The plan counts them exactly and changes nothing.',
  ].join(' ');
}

function partsInWords(
  { column, subject }: Told,
  whole: readonly LeafTail[],
  tables: readonly MeasuredTable[],
): string[] {
  const [oldest] = whole;
  if (!oldest) return [];
  const above = tables.find(({ oid }) => oid === oldest.leaf.parentOid) ?? subject.table;
  const detach = sql`ALTER TABLE ${ident(above.schema, above.name)} DETACH PARTITION ${ident(oldest.leaf.schema, oldest.leaf.name)} CONCURRENTLY`;
  return [
    `${whole.length} of ${subject.leaves.length} partitions are older than ${AGE_IN_WORDS[obsoleteAge(column)]} as a whole (${whole
      .slice(0, 5)
      .map(({ leaf }) => leaf.name)
      .join(
        ', ',
      )}${whole.length > 5 ? ', ...' : ''}): to detach them is faster than to delete rows, first ${toText(detach)}.`,
  ];
}

/** Plans are made for tables that hold rows: of a partitioned one, for the partition with the most old ones. */
function remedyOf(one: Told, database: string): Remedy | null {
  const { subject, column, tail, tails } = one;
  const age = obsoleteAge(column);
  const old = (part: LeafTail) => part.leaf.liveRows * part.tail.older[age];
  const part =
    subject.table.kind === 'PARTITIONED'
      ? leafTails(one, tails).reduce((a, b) => (old(b) > old(a) ? b : a))
      : { leaf: subject.table, tail };
  const where = part.leaf === subject.table ? '' : ` of the partition ${part.leaf.name}`;
  return archiveRemedy(part, column, where, database);
}
