import type { PlanNotice } from '../domain/plan.ts';
import type { ForeignKey, Relation } from '../target/catalog.ts';
import { readRelationByOid } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, sql, toText } from '../target/sql.ts';
import { nameOf, notice } from './plan-context.ts';
import type { Edge } from '../target/reached-tables.ts';

/** A table of this size is read in no time. */
const SMALL_PAGES = 100;
/** Pages that lie in memory, looked at for one value; measured on two cores. */
const BYTES_PER_SECOND = 2_000_000_000;

/** What PostgreSQL's look-ups of referencing rows cost where no index serves them: the whole table for each deleted row. */
export interface Unindexed {
  readonly warnings: readonly PlanNotice[];
  readonly seconds: number;
}

/** deleted: how many rows of the key's parent go. */
export async function unindexedKeys(
  session: Session,
  edges: readonly Edge[],
  deleted: (edge: Edge) => number,
): Promise<Unindexed> {
  const warnings: PlanNotice[] = [];
  let seconds = 0;
  for (const edge of edges) {
    const rows = deleted(edge);
    const unserved = rows === 0 ? [] : await unservedTables(session, edge);
    if (unserved.length === 0) continue;
    const bytes = unserved.reduce((sum, { heapBytes }) => sum + heapBytes, 0);
    const cost = (rows * bytes) / BYTES_PER_SECOND;
    seconds += cost;
    warnings.push(missingIndex(edge, { rows, bytes, seconds: cost }));
  }
  return { warnings, seconds };
}

function missingIndex(
  { key, child }: Edge,
  { rows, bytes, seconds }: { rows: number; bytes: number; seconds: number },
): PlanNotice {
  const columns = key.columns.map((column) => toText(ident(column))).join(', ');
  // An index of a partitioned table cannot be built concurrently in one statement.
  const how = child.kind === 'PARTITIONED' ? 'CREATE INDEX' : 'CREATE INDEX CONCURRENTLY';
  return notice(
    'MISSING_FOREIGN_KEY_INDEX',
    `No index of ${nameOf(child)} serves the foreign key ${key.name}: PostgreSQL reads all its ${megabytes(bytes)} for each of ${rows} rows of ${key.referencedSchema}.${key.referencedTable}, about ${Math.max(1, Math.round(seconds))} s in all.`,
    `${how} ON ${toText(ident(child.schema, child.name))} (${columns});`,
  );
}

const megabytes = (bytes: number) => `${(bytes / 1_000_000).toPrecision(2)} MB`;

/** The child, or those of its partitions, that would be read whole. */
async function unservedTables(session: Session, { key, child }: Edge): Promise<Relation[]> {
  if (child.indexes.some((index) => serves(index, key))) return [];
  const tables = child.kind === 'PARTITIONED' ? await leavesOf(session, child) : [child];
  return tables.filter(
    ({ pages, indexes }) => pages > SMALL_PAGES && !indexes.some((index) => serves(index, key)),
  );
}

async function leavesOf(session: Session, { oid }: Relation): Promise<Relation[]> {
  return session.transaction(async () => {
    const rows = await session.query<{ oid: string }>(sql`
      SELECT relid::pg_catalog.oid::pg_catalog.text AS oid FROM pg_catalog.pg_partition_tree(${integer(oid)}::pg_catalog.oid::pg_catalog.regclass)
       WHERE isleaf ORDER BY relid`);
    const leaves: Relation[] = [];
    for (const row of rows) {
      const leaf = await readRelationByOid(session, Number(row.oid));
      if (leaf !== null) leaves.push(leaf);
    }
    return leaves;
  });
}

function serves(index: Relation['indexes'][number], key: ForeignKey): boolean {
  const leading = index.columns.slice(0, key.columns.length);
  const whole =
    index.predicate === null ||
    key.columns.some(
      (column) => index.predicate === `(${toText(ident(column)).replaceAll('"', '')} IS NOT NULL)`,
    );
  return (
    index.isValid &&
    whole &&
    ['btree', 'hash'].includes(index.method) &&
    key.columns.every((column) => leading.includes(column))
  );
}
