import type { FoundFault } from '../../domain/finding.ts';
import { ident, join, sql, toText } from '../../target/sql.ts';
import {
  type AnalysisContext,
  bytesInWords,
  type ColumnFigures,
  defineAnalysis,
  type KeptFinding,
  type MeasuredTable,
} from '../define-analysis.ts';
import { staleness } from '../estimate-heap.ts';
import { type ColumnRole, readColumnRoles } from '../read-column-roles.ts';
import { isNotRead, type NotRead, type RowReader } from '../row-reader.ts';
import { daysBetween } from '../usage-counters.ts';
import { type WholeTable, wholeTables } from '../whole-tables.ts';

/** Of fewer rows, nothing can be said about what a column is for. */
const SMALLEST_ROWS = 1_000;
/** One value in a few thousand rows may well be chance, or a default that is about to change. */
const SMALLEST_ROWS_OF_ONE_VALUE = 10_000;
const READ_ALWAYS_BYTES = 64 * 1024 * 1024;
/** In one analysis, the largest first. */
const READ_TABLES = 50;
/** How long a column has to be empty before our eyes, so that it is not one that was just added. */
const LONG_DAYS = 30;

/** Columns that tell nothing: NULL in every row, or the same value in every row. */
export const unusedColumn = defineAnalysis({
  kind: 'UNUSED_COLUMN',
  docs: 'docs/analyses/unused-column.md',
  find: async (context) => {
    const candidates = wholeTables(context.figures.tables).flatMap(
      (table) => candidateOf(table, context) ?? [],
    );
    if (candidates.length === 0) return [];
    const roles = await readColumnRoles(
      context.session,
      candidates.flatMap(({ root, alwaysNull, oneValue }) =>
        [...alwaysNull, ...oneValue].map((name) => ({ table: root.oid, name })),
      ),
    );
    const kept = await context.memory.findings();
    const faults: FoundFault[] = [];
    const read = new Set(candidates.toSorted((a, b) => b.rows - a.rows).slice(0, READ_TABLES));
    for (const candidate of candidates) {
      const own = roles.get(candidate.root.oid);
      const reader = read.has(candidate) ? context.rows : null;
      if (own) faults.push(...(await faultsOf(candidate, own, kept, reader, context.now)));
    }
    return faults;
  },
});

interface Candidate extends WholeTable {
  readonly rows: number;
  readonly alwaysNull: readonly string[];
  readonly oneValue: readonly string[];
}

/** By statistics; a partitioned table is judged as a whole, so that each of its partitions has to agree. */
function candidateOf(table: WholeTable, context: AnalysisContext): Candidate | null {
  const { root } = table;
  const leaves = table.leaves.filter((leaf) => leaf.pages.count > 0);
  const rows = leaves.reduce((sum, leaf) => sum + leaf.liveRows, 0);
  if (rows < SMALLEST_ROWS) return null;
  if (leaves.some(isDoubtful)) {
    context.unsure({ schema: root.schema, table: root.name, index: null }, DOUBTFUL);
    return null;
  }
  const alwaysNull = namesIn(leaves, (column) => column.statistics?.nullShare === 1);
  const isSmall = rows < SMALLEST_ROWS_OF_ONE_VALUE;
  // The same value in each partition need not be the same in all.
  const oneValue = isSmall || root.kind === 'PARTITIONED' ? [] : namesIn(leaves, hasOneValue);
  return alwaysNull.length + oneValue.length > 0 ? { ...table, leaves, rows, alwaysNull, oneValue } : null;
}

const isDoubtful = (leaf: MeasuredTable) =>
  leaf.locked ||
  leaf.countersLost ||
  staleness(leaf) !== null ||
  leaf.columns.some((column) => isOwn(column) && !column.notNull && column.statistics === null);

const DOUBTFUL =
  'Its statistics are missing, stale or hidden from the role (ANALYZE, GRANT SELECT), or it is locked.';

const isOwn = (column: ColumnFigures) => !column.dropped && !column.isVirtual;

const hasOneValue = ({ statistics }: ColumnFigures) =>
  statistics !== null && statistics.nullShare === 0 && statistics.distinct === 1;

function namesIn(leaves: readonly MeasuredTable[], is: (column: ColumnFigures) => boolean): string[] {
  const [first, ...others] = leaves.map((leaf) =>
    leaf.columns.filter((column) => isOwn(column) && is(column)).map(({ name }) => name),
  );
  return (first ?? []).filter((name) => others.every((names) => names.includes(name)));
}

async function faultsOf(
  table: Candidate,
  roles: ReadonlyMap<string, ColumnRole>,
  kept: readonly KeptFinding[],
  reader: RowReader | null,
  now: Date,
): Promise<FoundFault[]> {
  const known = (name: string) => roles.get(name);
  const wanted = table.alwaysNull.filter((name) => known(name)?.isGenerated === false);
  const nulls = wanted.length === 0 ? null : await withoutValues(table, wanted, reader);
  const faults = (nulls?.names ?? []).map((name) =>
    nullFault(table, name, known(name), nulls?.notRead ?? null, seenSince(table, name, kept), now),
  );
  const same = table.oneValue.filter((name) => known(name)?.isGenerated === false && !known(name)?.isKey);
  return [...faults, ...same.map((name) => sameFault(table, name, known(name)))];
}

/** The columns that really hold no value; or, where not all rows were read, those that ANALYZE saw none of. */
async function withoutValues({ leaves }: Candidate, names: readonly string[], reader: RowReader | null) {
  if (reader === null)
    return { names, notRead: `only ${READ_TABLES} tables are read in one analysis, the largest first.` };
  let left = [...names];
  for (const leaf of leaves) {
    const answer = await readUse(leaf, left, reader);
    if (isNotRead(answer)) return { names: left, notRead: answer.notRead };
    left = left.filter((_, i) => !answer.used[i]);
    if (left.length === 0) break;
  }
  return { names: left, notRead: null };
}

/** Small tables are looked at always; larger ones when somebody asks for exact figures. */
async function readUse(
  leaf: MeasuredTable,
  names: readonly string[],
  rows: RowReader,
): Promise<{ used: boolean[] } | NotRead> {
  const used = names.map((name) => sql`coalesce(pg_catalog.bool_or(r.${ident(name)} IS NOT NULL), false)`);
  // A sample of all pages counts as no scan: our looking must not make the table look used.
  const query = sql`SELECT ARRAY[${join(used, ', ')}] AS used FROM ONLY ${ident(leaf.schema, leaf.name)} AS r TABLESAMPLE system (100)`;
  if (leaf.heapBytes <= READ_ALWAYS_BYTES) return rows.sample(query);
  if (rows.exact) return rows.whole(leaf.heapBytes, query);
  return { notRead: `a table of ${bytesInWords(leaf.heapBytes)} is read whole with exact only.` };
}

const seenSince = ({ root }: Candidate, name: string, kept: readonly KeptFinding[]): Date | null =>
  kept.find(
    (finding) =>
      finding.open &&
      finding.schema === root.schema &&
      finding.table === root.name &&
      finding.columns[0] === name,
  )?.firstSeenAt ?? null;

function nullFault(
  { root, rows }: Candidate,
  name: string,
  role: ColumnRole | undefined,
  notRead: string | null,
  since: Date | null,
  now: Date,
): FoundFault {
  const days = since === null ? 0 : Math.floor(daysBetween(since, now));
  const isOld = notRead === null && days >= LONG_DAYS;
  return {
    ...subjectOf(root, name, rows),
    severity: isOld && role?.usedBy.length === 0 ? 'NOTICE' : 'INFO',
    title: `${root.schema}.${root.name}.${name} is NULL in every row`,
    detail: [
      notRead === null
        ? `All ${rows} rows were looked at.`
        : `ANALYZE saw no value in its sample of rows; all of them could not be looked at: ${notRead}`,
      days < LONG_DAYS
        ? `We have known it so for ${days} days only: it may have been added lately, for a release to come.`
        : `It has been so for ${days} days at least.`,
      usageInWords(role),
      dropInWords(root, name),
    ].join(' '),
    evidence: {
      what: 'ALWAYS_NULL',
      method: notRead === null ? 'SCAN' : 'STATISTICS',
      rows,
      days,
      ...roleInEvidence(role),
    },
  };
}

function sameFault({ root, rows }: Candidate, name: string, role: ColumnRole | undefined): FoundFault {
  return {
    ...subjectOf(root, name, rows),
    severity: 'INFO',
    title: `${root.schema}.${root.name}.${name} has the same value in every row, as far as ANALYZE has seen`,
    detail: [
      'ANALYZE found a single value and no NULL in its sample of rows; a rare other one may have escaped it. What never differs tells nothing about a row: ' +
        'a version, a tenant or a flag that nobody sets.',
      usageInWords(role),
      dropInWords(root, name),
    ].join(' '),
    evidence: { what: 'ONE_VALUE', method: 'STATISTICS', rows, ...roleInEvidence(role) },
  };
}

const subjectOf = (root: MeasuredTable, name: string, rows: number) =>
  ({
    kind: 'UNUSED_COLUMN',
    schema: root.schema,
    table: root.name,
    index: null,
    columns: [name],
    wastedBytes: null,
    rows,
    remedy: null,
  }) as const;

const usageInWords = (role: ColumnRole | undefined) =>
  role && role.usedBy.length > 0
    ? `In use by: ${role.usedBy.slice(0, 5).join(', ')}.`
    : 'No index, constraint, view or trigger uses it.';

const dropInWords = (root: MeasuredTable, name: string) =>
  `If no application writes it: ALTER TABLE ${toText(ident(root.schema, root.name))} DROP COLUMN ${toText(ident(name))} ` +
  'takes an ACCESS EXCLUSIVE lock for a moment and rewrites nothing; queries that name the column fail from then on.';

const roleInEvidence = (role: ColumnRole | undefined) => ({
  usedBy: role?.usedBy ?? [],
  hasDefault: role?.hasDefault ?? false,
});
