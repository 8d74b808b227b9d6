import type { FoundFault, Remedy } from '../../domain/finding.ts';
import type { Severity } from '../../domain/words.ts';
import { quoteIdent, sql } from '../../target/sql.ts';
import { readCatalog } from '../catalog-query.ts';
import {
  type AnalysisContext,
  bytesInWords,
  defineAnalysis,
  type MeasuredTable,
} from '../define-analysis.ts';
import { isServed, type Service, serviceOf } from '../foreign-key-service.ts';
import { type ForeignKeyFigures, readForeignKeys } from '../foreign-keys.ts';
import { planRemedy } from '../remedies.ts';
import { countedPeriod } from '../usage-counters.ts';

/** Reading less than this takes no longer than a look-up that anybody would notice. */
const SMALL_BYTES = 1024 * 1024;
const MEBIBYTE = 1024 * 1024;
/** Rows of which a partial index is the better one. */
const MOSTLY_NULL = 0.5;
const SPELT_OUT = 10;

/** Foreign keys whose referencing rows can only be found by reading the whole table, as each delete of a referenced row must. */
export const missingForeignKeyIndex = defineAnalysis({
  kind: 'MISSING_FOREIGN_KEY_INDEX',
  docs: 'docs/analyses/missing-foreign-key-index.md',
  find: async (context) => {
    const leavesOf = leavesByTable(context.figures.tables);
    const keys = await readForeignKeys(context.session);
    const unserved = keys.flatMap((key) => {
      const leaves = leavesOf(key.tableOid).filter((leaf) => !isServedOn(leaf, key, context));
      if (leaves.length === 0) return [];
      if (leaves.some(isUnread)) {
        const subject = { schema: key.schema, table: key.table, index: null };
        context.unsure(subject, 'A table is locked, so that the definitions of its indexes cannot be read.');
        return [];
      }
      return [{ key, leaves }];
    });
    if (unserved.length === 0) return [];
    const deleted = await readDeletes(
      context,
      unserved.flatMap(({ key }) => leavesOf(key.referencedOid)),
    );
    return [...Map.groupBy(unserved, sameIndexServes).values()].flatMap(([first, ...more]) =>
      first ? [faultOf([first, ...more], leavesOf, deleted, context)] : [],
    );
  },
});

interface Unserved {
  readonly key: ForeignKeyFigures;
  /** those without an index that serves; the table itself when it is not partitioned */
  readonly leaves: readonly MeasuredTable[];
}

type LeavesOf = (oid: number) => readonly MeasuredTable[];

function leavesByTable(tables: readonly MeasuredTable[]): LeavesOf {
  const byOid = new Map(tables.map((table) => [table.oid, table]));
  const children = Map.groupBy(tables, (table) => table.parentOid);
  const leavesOf = (oid: number): readonly MeasuredTable[] => {
    const table = byOid.get(oid);
    if (table?.kind !== 'PARTITIONED') return table ? [table] : [];
    return (children.get(oid) ?? []).flatMap((child) => leavesOf(child.oid));
  };
  return leavesOf;
}

const servicesOn = (leaf: MeasuredTable, key: ForeignKeyFigures, { session }: AnalysisContext): Service[] =>
  leaf.indexes.map((index) => serviceOf(index, key, leaf, session.serverVersion));

const isServedOn = (leaf: MeasuredTable, key: ForeignKeyFigures, context: AnalysisContext) =>
  servicesOn(leaf, key, context).some(isServed);

/** What an index covers is not known while its table is locked. */
const isUnread = (leaf: MeasuredTable) => leaf.indexes.some((index) => index.definition === null);

/** Two keys on the same columns need one index, and are one finding. */
const sameIndexServes = ({ key }: Unserved) =>
  JSON.stringify([
    key.tableOid,
    key.columns.map(({ name, collation, cast }) => JSON.stringify([name, collation, cast])).sort(),
  ]);

/** Rows that were ever deleted from each table, as far as its counters go back. */
async function readDeletes(
  context: AnalysisContext,
  tables: readonly MeasuredTable[],
): Promise<ReadonlyMap<number, number>> {
  const rows = await readCatalog<{ oid: number; deleted: number }>(
    context.session,
    sql`SELECT o.oid AS oid, pg_catalog.pg_stat_get_tuples_deleted(o.oid)::float8 AS deleted
          FROM pg_catalog.unnest(${tables.map(({ oid }) => String(oid))}::text[]::oid[]) o (oid) ORDER BY o.oid`,
  );
  return new Map(rows.map(({ oid, deleted }) => [oid, deleted]));
}

function faultOf(
  group: readonly [Unserved, ...Unserved[]],
  leavesOf: LeavesOf,
  deleted: ReadonlyMap<number, number>,
  context: AnalysisContext,
): FoundFault {
  const [{ key }] = group;
  const leaves = [...new Set(group.flatMap((one) => one.leaves))];
  const bytes = sum(leaves, ({ heapBytes }) => heapBytes);
  const others = group.map((one) => referencedSide(one.key, leavesOf, deleted));
  const deletes = sum(others, (other) => other.deleted);
  const doubts = doubtsAbout(group, context);
  const columns = key.columns.map(({ name }) => name);
  const list = columns.join(', ');
  return {
    kind: 'MISSING_FOREIGN_KEY_INDEX',
    severity: doubts.length > 0 ? 'INFO' : severityOf(bytes, deletes),
    schema: key.schema,
    table: key.table,
    index: null,
    columns,
    title: `No index serves the foreign key on ${key.table} (${list})`,
    detail: [
      `${others.map((other) => `${other.constraint} refers to ${other.table} (${other.rows} rows, of which ${other.deleted} were deleted ${countedPeriod(context)}; ON DELETE ${other.onDelete})`).join('; ')}.`,
      `Each delete there, and each change of a key, reads ${whatIsRead(key, leaves, leavesOf, bytes)}.`,
      ...doubts,
      advice(key, leaves, leavesOf),
    ].join(' '),
    wastedBytes: null,
    rows: sum(leaves, ({ liveRows }) => liveRows),
    evidence: {
      referencing: {
        table: `${key.schema}.${key.table}`,
        columns,
        rows: sum(leaves, ({ liveRows }) => liveRows),
        bytes,
      },
      referenced: others,
      unserved: leaves.map((leaf) => `${leaf.schema}.${leaf.name}`),
      doubts,
    },
    remedy: doubts.length > 0 ? null : remedyOf(key, leaves, leavesOf, context.databaseName),
  };
}

/** One plan builds it for the table, or for the one partition that lacks it; what a plain index does not serve is left to people. */
function remedyOf(
  key: ForeignKeyFigures,
  leaves: readonly MeasuredTable[],
  leavesOf: LeavesOf,
  database: string,
): Remedy | null {
  if (key.isPeriod || key.columns.some(({ cast, collate }) => cast !== null || collate !== null)) return null;
  const [only] = leaves;
  const isOne = leaves.length === 1 && leavesOf(key.tableOid).length > 1;
  const { schema, table } = isOne && only ? { schema: only.schema, table: only.name } : key;
  const columns = key.columns.map(({ name }) => name);
  return planRemedy('IndexCreation', 'Plan to build the index, without locking out writers.', {
    database,
    schema,
    table,
    columns,
  });
}

const sum = <T>(list: readonly T[], figure: (item: T) => number) =>
  list.reduce((total, item) => total + figure(item), 0);

function referencedSide(key: ForeignKeyFigures, leavesOf: LeavesOf, deleted: ReadonlyMap<number, number>) {
  const leaves = leavesOf(key.referencedOid);
  return {
    constraint: key.name,
    table: `${key.referencedSchema}.${key.referencedTable}`,
    rows: sum(leaves, ({ liveRows }) => liveRows),
    deleted: sum(leaves, ({ oid }) => deleted.get(oid) ?? 0),
    onDelete: key.onDelete,
  };
}

/** A table that nobody deletes from costs nothing yet; a large one makes the first delete a surprise. */
function severityOf(bytes: number, deletes: number): Severity {
  if (bytes < SMALL_BYTES) return 'INFO';
  return bytes >= 1024 * MEBIBYTE || (bytes >= 64 * MEBIBYTE && deletes > 0) ? 'WARNING' : 'NOTICE';
}

/** Where an index has some of the columns and statistics are missing, the planner knows no better than we do. */
function doubtsAbout(group: readonly Unserved[], context: AnalysisContext): string[] {
  const isGuess = group.some(({ key, leaves }) =>
    leaves.some((leaf) =>
      servicesOn(leaf, key, context).some((service) => service.kind === 'PART' && service.share === null),
    ),
  );
  return isGuess
    ? [
        'An index has some of the columns; whether that is enough cannot be told without statistics: ANALYZE the table, or GRANT pg_read_all_data to our role.',
      ]
    : [];
}

function whatIsRead(
  key: ForeignKeyFigures,
  leaves: readonly MeasuredTable[],
  leavesOf: LeavesOf,
  bytes: number,
): string {
  const rows = sum(leaves, ({ liveRows }) => liveRows);
  const all = leavesOf(key.tableOid).length;
  const what = all === 1 ? `all of ${key.schema}.${key.table}` : `${leaves.length} of its ${all} partitions`;
  return `${what} (${rows} rows, ${bytesInWords(bytes)})`;
}

/** CONCURRENTLY is not for partitioned tables: each partition gets its own, and the table's index takes them up. */
function advice(key: ForeignKeyFigures, leaves: readonly MeasuredTable[], leavesOf: LeavesOf): string {
  const columns = indexColumns(key, leaves);
  const single = leaves
    .slice(0, SPELT_OUT)
    .map(
      (leaf) => `CREATE INDEX CONCURRENTLY ON ${quoteIdent(leaf.schema)}.${quoteIdent(leaf.name)}${columns};`,
    );
  const more =
    leaves.length > SPELT_OUT ? ` And so on for ${leaves.length - SPELT_OUT} more partitions.` : '';
  const all = leavesOf(key.tableOid);
  const isPartitioned = all.length !== 1 || all[0]?.oid !== key.tableOid;
  const whole =
    isPartitioned && leaves.length === all.length
      ? ` Then, so that new partitions get it as well: CREATE INDEX ON ${quoteIdent(key.schema)}.${quoteIdent(key.table)}${columns}; it takes up those that are there, and locks out writers for a moment.`
      : '';
  return `Without locking out writers: ${single.join(' ')}${more}${whole}`;
}

function indexColumns(key: ForeignKeyFigures, leaves: readonly MeasuredTable[]): string {
  const list = key.columns.map(({ name, cast, collate }) =>
    cast !== null ? cast : `${quoteIdent(name)}${collate === null ? '' : ` COLLATE ${collate}`}`,
  );
  const [only] = key.columns;
  const isMostlyNull =
    key.columns.length === 1 &&
    leaves.every((leaf) => {
      const column = leaf.columns.find(({ name }) => name === only?.name);
      return (column?.statistics?.nullShare ?? 0) >= MOSTLY_NULL;
    });
  const where = isMostlyNull && only ? ` WHERE ${quoteIdent(only.name)} IS NOT NULL` : '';
  return `${key.isPeriod ? ' USING gist' : ''} (${list.join(', ')})${where}`;
}
