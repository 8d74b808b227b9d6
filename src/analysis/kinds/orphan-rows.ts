import type { FoundFault, Remedy } from '../../domain/finding.ts';
import { DEFAULT_MAX_SHARE } from '../../domain/limits.ts';
import type { Severity } from '../../domain/words.ts';
import { addForeignKey, enforceKey, validateKey } from '../../target/foreign-key-statements.ts';
import { ident, join, sql, toText } from '../../target/sql.ts';
import { countOrphans, looksUp, type OrphanCount, sampleOrphans } from '../count-orphans.ts';
import { type AnalysisContext, defineAnalysis, percent } from '../define-analysis.ts';
import { planRemedy } from '../remedies.ts';
import { readReferences, type Reference } from '../read-references.ts';
import { isNotRead } from '../row-reader.ts';
import { readHindrances } from '../row-subjects.ts';
import { isIdle } from '../usage-counters.ts';

/** So many references are sampled in one analysis, those that are declared first, then those of the largest tables. */
const MOST_SAMPLED = { usually: 30, exact: 300 };
/** A column of which so many values are found in the other table points there. */
const CONTAINED = 0.9;
const FEWEST_ROWS = 20;
const FEWEST_VALUES = 3;
/** Shares are estimates: a plan that finds a few rows more must not be kept from running. */
const SHARE_MARGIN = 0.05;

/** Rows whose reference leads nowhere: by foreign keys that are NOT VALID, and by names where nobody has declared one. */
export const orphanRows = defineAnalysis({
  kind: 'ORPHAN_ROWS',
  docs: 'docs/analyses/orphan-rows.md',
  find: async (context) => {
    const references = inOrder(await readReferences(context.session, context.figures));
    const hindrances = await readHindrances(
      context.session,
      references.flatMap(({ child, parent }) => [child, parent]),
    );
    const faults = new Map<string, FoundFault>();
    const most = context.rows.exact ? MOST_SAMPLED.exact : MOST_SAMPLED.usually;
    let sampled = 0;
    for (const reference of references) {
      const hindrance = [reference.child, reference.parent].map(({ table }) => hindrances.get(table.oid));
      const why = hindrance.find((text) => text !== undefined) ?? (sampled >= most ? leftOut(most) : null);
      if (why === null) sampled += 1;
      const fault = why === null ? await judge(reference, context) : unsure(reference, why, context);
      if (fault) faults.set(JSON.stringify([reference.child.table.oid, fault.columns]), fault);
    }
    return [...faults.values()];
  },
});

const leftOut = (most: number) =>
  `No more than ${most} references could be checked; the largest tables came first.`;

const inOrder = (references: readonly Reference[]) =>
  [...references].sort(
    (a, b) =>
      Number(b.declared !== null) - Number(a.declared !== null) ||
      b.child.table.heapBytes - a.child.table.heapBytes ||
      a.child.table.oid - b.child.table.oid,
  );

function unsure(reference: Reference, why: string, context: AnalysisContext): null {
  const { schema, name } = reference.child.table;
  context.unsure({ schema, table: name, index: null }, why);
  return null;
}

async function judge(reference: Reference, context: AnalysisContext): Promise<FoundFault | null> {
  if (wouldBeItsOnlyUse(reference, context))
    return unsure(
      reference,
      `Nobody uses the key of ${nameOf(reference.parent)}: to look values up there would make it look used.`,
      context,
    );
  const sample = await sampleOrphans(context.rows, reference);
  if (isNotRead(sample)) return unsure(reference, sample.notRead, context);
  if (!isReference(reference, sample)) return null;
  const counted = context.rows.exact && sample.method === 'SAMPLE';
  const exact = counted ? await countOrphans(context.rows, reference, sample) : sample;
  const count = isNotRead(exact) ? sample : exact;
  if (count.orphans > 0)
    return faultOf(reference, count, isNotRead(exact) ? exact.notRead : null, context.databaseName);
  if (count.method === 'COUNT') return null;
  return unsure(
    reference,
    `None of ${count.rows} sampled rows of ${nameOf(reference.child)} is an orphan by ${reference.columns.join(', ')}; the others were not looked at.`,
    context,
  );
}

/** A foreign key is a use of its own. */
const wouldBeItsOnlyUse = (reference: Reference, context: AnalysisContext) =>
  reference.declared === null &&
  looksUp(reference) &&
  reference.parent.indexes
    .filter(({ keys }) => keys[0]?.column === reference.parentColumns[0])
    .every((index) => isIdle(index, context));

/** A name alone proves nothing: the values have to be there as well. */
const isReference = ({ declared }: Reference, { rows, orphans, values, missing }: OrphanCount) =>
  declared !== null ||
  (rows >= FEWEST_ROWS &&
    values - missing >= FEWEST_VALUES &&
    rows - orphans >= rows * CONTAINED &&
    values - missing >= values * CONTAINED);

const nameOf = ({ table }: Reference['child']) => `${table.schema}.${table.name}`;

function faultOf(
  reference: Reference,
  count: OrphanCount,
  notCounted: string | null,
  database: string,
): FoundFault {
  const { child, parent, columns, parentColumns, declared } = reference;
  const rows = estimated(reference, count);
  const doubts = doubtsAbout(reference, count);
  const about = count.method === 'COUNT' ? '' : 'about ';
  return {
    kind: 'ORPHAN_ROWS',
    severity: severityOf(reference, doubts),
    schema: child.table.schema,
    table: child.table.name,
    index: null,
    columns,
    title: `${rows} rows of ${nameOf(child)} point to rows of ${nameOf(parent)} that are not there (${about}${percent(rows / Math.max(child.table.liveRows, 1))})`,
    detail: [
      sourceInWords(reference, count),
      countInWords(count, rows),
      ...(notCounted === null ? [] : [`Not counted in full: ${notCounted}`]),
      ...doubts,
      advice(reference),
    ].join(' '),
    wastedBytes: bytesOf(reference, rows),
    rows,
    evidence: {
      columns,
      references: { schema: parent.table.schema, table: parent.table.name, columns: parentColumns },
      foreignKey: declared?.name ?? null,
      method: count.method,
      rowsLookedAt: count.rows,
      orphansAmongThem: count.orphans,
      valuesLookedUp: count.values,
      valuesMissing: count.missing,
      doubts,
    },
    remedy: remedyOf(reference, rows / Math.max(child.table.liveRows, 1), database),
  };
}

/** Of a sample at least one, or it would not be a fault. */
const estimated = ({ child }: Reference, count: OrphanCount) =>
  count.method === 'COUNT'
    ? count.orphans
    : Math.max(
        count.orphans,
        Math.round(child.table.liveRows * count.filled * (count.orphans / Math.max(count.rows, 1))),
      );

function bytesOf({ child: { table } }: Reference, rows: number): number {
  const live = Math.max(table.heapBytes + table.toastBytes - (table.bloat.wastedBytes ?? 0), 0);
  return Math.round((live * Math.min(rows, table.liveRows)) / Math.max(table.liveRows, 1));
}

function sourceInWords({ declared, columns, parent, parentColumns }: Reference, count: OrphanCount): string {
  const target = `${nameOf(parent)} (${parentColumns.join(', ')})`;
  if (declared) {
    const state = declared.enforced ? 'is NOT VALID' : 'is NOT ENFORCED';
    return `The foreign key ${declared.name} from ${columns.join(', ')} to ${target} ${state}: PostgreSQL never looked at all rows.`;
  }
  const share = percent((count.values - count.missing) / Math.max(count.values, 1));
  return `Nobody has declared it, but ${columns.join(', ')} points to ${target} by its name, and ${share} of ${count.values} different values that were looked up are there.`;
}

const countInWords = (count: OrphanCount, rows: number) =>
  count.method === 'COUNT'
    ? `All rows were looked at: ${rows} are orphans.`
    : `Of ${count.rows} sampled rows ${count.orphans} are orphans for certain; of all rows it is about ${rows}.`;

function doubtsAbout({ declared, child, columns }: Reference, count: OrphanCount): string[] {
  const isNumber = child.columns.some(({ name, typeOid }) => columns.includes(name) && NUMBERS.has(typeOid));
  return [
    ...(declared === null && isNumber
      ? ['Whole numbers are keys of many tables: that they are found there is likely, but no proof.']
      : []),
    ...(count.missing === 1 && count.values > FEWEST_VALUES
      ? ['All orphans that were seen have the same value, which may stand for "none".']
      : []),
  ];
}

const NUMBERS = new Set([20, 21, 23]);

const severityOf = ({ declared }: Reference, doubts: readonly string[]): Severity => {
  if (declared?.enforced) return 'WARNING';
  return doubts.length > 1 || (doubts.length === 1 && declared !== null) ? 'INFO' : 'NOTICE';
};

/** A partitioned table has its rows in partitions, each of which is planned by name. */
function remedyOf(
  { child, columns, parent, parentColumns }: Reference,
  share: number,
  database: string,
): Remedy | null {
  if (child.table.kind === 'PARTITIONED') return null;
  const needed = Math.min(Math.ceil((share + SHARE_MARGIN) * 100) / 100, 1);
  return planRemedy('OrphanRemoval', 'Plan to move these rows to files, from where they can be restored.', {
    database,
    schema: child.table.schema,
    table: child.table.name,
    columns,
    referencedSchema: parent.table.schema,
    referencedTable: parent.table.name,
    referencedColumns: parentColumns,
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    ...(needed > DEFAULT_MAX_SHARE ? { limits: { maxShare: needed } } : {}),
  });
}

/** How to see them, and how to keep it from happening again. */
function advice({ child, columns, parent, parentColumns, declared }: Reference): string {
  const own = columns.map((name) => ident('c', name));
  const filled = join(
    own.map((column) => sql`${column} IS NOT NULL`),
    ' AND ',
  );
  const equal = join(
    own.map((column, i) => sql`${ident('p', parentColumns[i] as string)} = ${column}`),
    ' AND ',
  );
  const list = sql`SELECT c.* FROM ${child.from} AS c WHERE ${filled} AND NOT EXISTS (SELECT FROM ${parent.from} AS p WHERE ${equal})`;
  const side = ({ schema, name }: Reference['child']['table'], columns: readonly string[]) => ({
    schema,
    table: name,
    columns,
  });
  const from = side(child.table, columns);
  const key = addForeignKey(from, side(parent.table, parentColumns));
  const declare =
    child.table.kind === 'PARTITIONED'
      ? `${key} keeps new ones out; it reads the table under a lock against writes.`
      : `${key} NOT VALID keeps new ones out; VALIDATE CONSTRAINT then proves that none is left.`;
  const next =
    declared === null
      ? `Once they are gone, ${declare}`
      : declared.enforced
        ? `Once they are gone: ${validateKey(from, declared.name)}.`
        : `Nothing keeps new ones out: ${enforceKey(from, declared.name)} does, once they are gone.`;
  return `To see them: ${toText(list)}. ${next}`;
}
