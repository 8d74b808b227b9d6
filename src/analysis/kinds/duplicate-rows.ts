import type { FoundFault } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { ident, join, type Sql, sql, toText } from '../../target/sql.ts';
import {
  comparable,
  countDuplicates,
  type DuplicateCount,
  exceptions,
  isCounted,
} from '../count-duplicates.ts';
import { type AnalysisContext, defineAnalysis } from '../define-analysis.ts';
import { duplicateRemedy } from '../duplicate-remedy.ts';
import { type KeyPart, type ProposedKey, proposeKeys } from '../duplicate-keys.ts';
import { countInWords, lookAtKey } from '../look-at-key.ts';
import { isNotRead } from '../row-reader.ts';
import { readBaseTypes, readHindrances, type RowSubject, rowSubjects } from '../row-subjects.ts';

/** So many keys are looked at in one analysis: first where the statistics saw a value twice, then by size. */
const MOST_SAMPLED = { usually: 30, exact: 300 };

/** Rows that say the same thing twice, by keys that names and statistics suggest and that no unique index keeps. */
export const duplicateRows = defineAnalysis({
  kind: 'DUPLICATE_ROWS',
  docs: 'docs/analyses/duplicate-rows.md',
  find: async (context) => {
    const subjects = rowSubjects(context.figures);
    const types = await readBaseTypes(context.session, subjects);
    const proposed = subjects.flatMap((subject) => proposeKeys(subject, types)).sort(bySuspicion);
    const hindrances = await readHindrances(
      context.session,
      proposed.map(({ subject }) => subject),
    );
    const faults: FoundFault[] = [];
    const most = context.rows.exact ? MOST_SAMPLED.exact : MOST_SAMPLED.usually;
    let sampled = 0;
    for (const key of proposed) {
      const why = hindrances.get(key.subject.table.oid) ?? (sampled >= most ? leftOut(most) : null);
      if (why === null) sampled += 1;
      const fault = why === null ? await judge(key, context) : unsure(key, why, context);
      if (fault) faults.push(fault);
    }
    return faults;
  },
});

const leftOut = (most: number) =>
  `No more than ${most} keys could be looked at; the most suspicious came first.`;

const sawTwice = ({ uniqueness }: ProposedKey) => uniqueness !== null && uniqueness < 0.99999;

const bySuspicion = (a: ProposedKey, b: ProposedKey) =>
  Number(sawTwice(b)) - Number(sawTwice(a)) ||
  Number(b.isNatural) - Number(a.isNatural) ||
  b.subject.table.heapBytes - a.subject.table.heapBytes ||
  a.subject.table.oid - b.subject.table.oid;

const nameOf = ({ table }: RowSubject) => `${table.schema}.${table.name}`;
const columnsOf = ({ parts }: ProposedKey) => parts.map(({ column }) => column);

function unsure(key: ProposedKey, why: string, context: AnalysisContext): null {
  const { schema, name } = key.subject.table;
  context.unsure({ schema, table: name, index: null }, why);
  return null;
}

async function judge(key: ProposedKey, context: AnalysisContext): Promise<FoundFault | null> {
  const question = { ...key, skipsEmpty: true };
  const sample = await lookAtKey(context.rows, question);
  if (isNotRead(sample)) return unsure(key, sample.notRead, context);
  if (isNoKey(key, sample)) return null;
  const exact =
    context.rows.exact && sample.method !== 'COUNT' ? await countDuplicates(context.rows, question) : sample;
  const count = isNotRead(exact) ? sample : exact;
  if (isNoKey(key, count)) return null;
  if (count.surplus > 0)
    return faultOf(key, count, isNotRead(exact) ? exact.notRead : null, context.databaseName);
  if (count.method === 'COUNT') return null;
  return unsure(
    key,
    `No two of ${count.rows} sampled rows of ${nameOf(key.subject)} are equal by ${columnsOf(key).join(', ')}; the others were not looked at.`,
    context,
  );
}

/** Where a good part of the rows would have to go, the values are meant to come again. */
const isNoKey = ({ mostSurplus }: ProposedKey, { estimated, filled, surplus, rows }: DuplicateCount) =>
  estimated > filled * mostSurplus || surplus > rows * mostSurplus;

function faultOf(
  key: ProposedKey,
  count: DuplicateCount,
  notCounted: string | null,
  database: string,
): FoundFault {
  const { subject, softDelete } = key;
  const doubts = doubtsAbout(key, count);
  const words = { COUNT: '', LOOK_UP: 'about ', SAMPLE: 'at least ' }[count.method];
  return {
    kind: 'DUPLICATE_ROWS',
    severity: severityOf(key, count, doubts),
    schema: subject.table.schema,
    table: subject.table.name,
    index: null,
    columns: columnsOf(key),
    title: `${words}${count.estimated} rows of ${nameOf(subject)} repeat another by ${keyInWords(key)}`,
    detail: [
      `${columnsOf(key).join(', ')}: no unique index keeps it, though ${key.why}.`,
      countInWords(count, key.parts),
      ...(notCounted === null ? [] : [`Not counted in full: ${notCounted}`]),
      ...(softDelete ? [`Rows that ${softDelete.column} marks as deleted are left out.`] : []),
      ...doubts,
      advice(key),
    ].join(' '),
    wastedBytes: bytesOf(subject, count.estimated),
    rows: count.estimated,
    evidence: {
      key: key.parts,
      chosenBecause: key.why,
      uniqueByStatistics: key.uniqueness,
      method: count.method,
      rowsLookedAt: count.rows,
      keysThatRepeat: count.groups,
      rowsThatRepeat: count.surplus,
      sameToTheLetter: count.same,
      rowsOfTheLargest: count.largest,
      softDelete,
      doubts,
    },
    remedy: doubts.length > 0 ? null : duplicateRemedy(key, database),
  };
}

function keyInWords({ parts }: ProposedKey): string {
  const loose = parts.some(({ ignoreCase }) => ignoreCase);
  return `${parts.map(({ column }) => column).join(', ')}${loose ? ' (without case and outer spaces)' : ''}`;
}

function doubtsAbout(key: ProposedKey, { surplus, largest }: DuplicateCount): string[] {
  return [
    ...(key.isNatural ? [] : ['Whether it is meant to be unique only you can tell.']),
    ...(surplus >= 10 && largest - 1 > surplus / 2
      ? ['Most of them have one and the same value, which may stand for "not known".']
      : []),
  ];
}

const MANY_ROWS = 100;
const SMALL_SHARE = 0.05;

function severityOf({ isNatural }: ProposedKey, count: DuplicateCount, doubts: readonly string[]): Severity {
  if (doubts.length > 0 || !isNatural || count.estimated > count.filled * SMALL_SHARE) return 'INFO';
  return count.estimated >= MANY_ROWS && count.same > 0 ? 'WARNING' : 'NOTICE';
}

function bytesOf({ table }: RowSubject, rows: number): number {
  const live = Math.max(table.heapBytes + table.toastBytes - (table.bloat.wastedBytes ?? 0), 0);
  return Math.round((live * Math.min(rows, table.liveRows)) / Math.max(table.liveRows, 1));
}

/** How to see them, and how to keep it from happening again. */
function advice(key: ProposedKey): string {
  const { subject, parts } = key;
  const values = parts.map((part) => comparable(part, ident('t', part.column)));
  const list = join(values, ', ');
  const counted = isCounted({ ...key, skipsEmpty: true }, 't');
  const see = sql`SELECT ${list}, count(*) FROM ${subject.from} AS t WHERE ${counted} GROUP BY ${list} HAVING count(*) > 1`;
  const left = exceptions({ ...key, skipsEmpty: true }, (column) => ident(column));
  const where = left.length === 0 ? sql`` : sql` WHERE ${join(left, ' AND ')}`;
  const how =
    subject.table.kind === 'PARTITIONED' ? sql`CREATE UNIQUE INDEX` : sql`CREATE UNIQUE INDEX CONCURRENTLY`;
  const keep = sql`${how} ON ${ident(subject.table.schema, subject.table.name)} (${join(parts.map(expression), ', ')})${where}`;
  return `To see the keys: ${toText(see)}. Once one row of each is left, ${toText(keep)} keeps it so.`;
}

const expression = (part: KeyPart): Sql =>
  part.ignoreCase || part.trim ? sql`(${comparable(part, ident(part.column))})` : ident(part.column);
