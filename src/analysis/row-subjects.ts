import type { Session } from '../target/session.ts';
import { ident, type Sql, sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';
import type { ColumnFigures, DatabaseFigures, MeasuredIndex, MeasuredTable } from './define-analysis.ts';

/** A table as its rows are asked for: an ordinary one by itself, a partitioned one with all its partitions. */
export interface RowSubject {
  readonly table: MeasuredTable;
  /** where the rows are: the table itself, or its partitions at any depth, the largest first */
  readonly leaves: readonly MeasuredTable[];
  /** with the statistics of the largest leaf */
  readonly columns: readonly ColumnFigures[];
  /** that speak for all rows: of a partitioned table, the parts of its own indexes */
  readonly indexes: readonly MeasuredIndex[];
  /** of the main fork, all leaves together */
  readonly pages: number;
  /** for a FROM clause */
  readonly from: Sql;
}

/** Partitions are no subjects of their own. Materialized views repeat what is elsewhere. */
export function rowSubjects({ tables }: Pick<DatabaseFigures, 'tables'>): RowSubject[] {
  const children = Map.groupBy(tables, (table) => table.parentOid);
  const leavesOf = (table: MeasuredTable): MeasuredTable[] =>
    table.kind === 'PARTITIONED' ? (children.get(table.oid) ?? []).flatMap(leavesOf) : [table];
  return tables
    .filter((table) => table.parentOid === null && table.kind !== 'MATERIALIZED_VIEW')
    .map((table) => subjectOf(table, leavesOf(table)));
}

function subjectOf(table: MeasuredTable, unordered: readonly MeasuredTable[]): RowSubject {
  const leaves = [...unordered].sort((a, b) => b.heapBytes - a.heapBytes || a.oid - b.oid);
  const [largest] = leaves;
  const name = ident(table.schema, table.name);
  const isWhole = table.kind === 'PARTITIONED';
  return {
    table,
    leaves,
    columns: (largest?.columns ?? []).filter((column) => !column.dropped),
    indexes: (largest?.indexes ?? []).filter(
      (index) => index.isValid && (!isWhole || index.duties.includes('PARTITION')),
    ),
    pages: leaves.reduce((sum, leaf) => sum + leaf.pages.count, 0),
    from: isWhole ? name : sql`ONLY ${name}`,
  };
}

/** Opening more partitions than this costs more than their rows. */
const MOST_LEAVES = 200;

interface RightsRow {
  oid: number;
  name: string;
  schema: string;
  role: string;
  owner: string;
  usage: boolean | null;
  selectable: boolean | null;
  hidden: boolean | null;
  remote: boolean;
}

/** Why the rows of these tables can't be asked for, in a sentence each, by OID; tables without an entry may be read. */
export async function readHindrances(
  session: Session,
  subjects: readonly RowSubject[],
): Promise<Map<number, string>> {
  if (subjects.length === 0) return new Map();
  const rows = await readCatalog<RightsRow>(session, rightsQuery(subjects.map(({ table }) => table.oid)));
  const rights = new Map(rows.map((row) => [row.oid, row]));
  return new Map(
    subjects.flatMap((subject) => {
      const why = hindrance(subject, rights.get(subject.table.oid));
      return why === null ? [] : [[subject.table.oid, why] as const];
    }),
  );
}

function hindrance({ table, leaves }: RowSubject, rights: RightsRow | undefined): string | null {
  const name = `${table.schema}.${table.name}`;
  if (!rights) return `${name} is gone.`;
  if (table.locked || leaves.some((leaf) => leaf.locked))
    return `Another session holds or awaits an ACCESS EXCLUSIVE lock on ${name}; we do not queue behind it.`;
  const grants = [
    ...(rights.usage ? [] : [`GRANT USAGE ON SCHEMA ${rights.schema} TO ${rights.role}`]),
    ...(rights.selectable ? [] : [`GRANT SELECT ON ${rights.name} TO ${rights.role}`]),
  ];
  if (grants.length > 0) return `The role may not read ${name}: ${grants.join('; ')}.`;
  if (rights.hidden)
    return `Row security hides rows of ${name} from the role: GRANT ${rights.owner} TO ${rights.role} shows them all.`;
  if (rights.remote) return `A partition of ${name} is a foreign table, which cannot be sampled.`;
  return leaves.length > MOST_LEAVES
    ? `${name} has ${leaves.length} partitions: to open them all for a sample costs too much.`
    : null;
}

const rightsQuery = (oids: readonly number[]) => sql`
  WITH RECURSIVE wanted AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, n.nspname, n.oid AS namespace
      FROM pg_catalog.unnest(${oids.map(String)}::int8[]) w (oid)
      JOIN pg_catalog.pg_class c ON c.oid = w.oid::oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  ), tree (root, oid) AS (
    SELECT oid, oid FROM wanted WHERE relkind = 'p'
    UNION ALL
    SELECT t.root, h.inhrelid FROM tree t JOIN pg_catalog.pg_inherits h ON h.inhparent = t.oid
  )
  SELECT w.oid, pg_catalog.quote_ident(w.nspname) AS schema,
         pg_catalog.quote_ident(w.nspname) || '.' || pg_catalog.quote_ident(w.relname) AS name,
         pg_catalog.quote_ident(current_user) AS role, pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(w.relowner)) AS owner,
         pg_catalog.has_schema_privilege(w.namespace, 'USAGE') AS usage,
         pg_catalog.has_table_privilege(w.oid, 'SELECT') AS selectable,
         pg_catalog.row_security_active(w.oid) AS hidden,
         w.oid IN (SELECT t.root FROM tree t JOIN pg_catalog.pg_class f ON f.oid = t.oid AND f.relkind = 'f') AS remote
    FROM wanted w ORDER BY w.oid`;

/** Types below their domains, and citext by its name, since its OID is another one in each database. */
export interface BaseType {
  readonly oid: number;
  readonly isCitext: boolean;
}

/** The first OID that PostgreSQL gives to what users make. */
const FIRST_USER_OID = 16_384;

/** Of types that users made; what has no entry is no domain. */
export async function readBaseTypes(
  session: Session,
  subjects: readonly RowSubject[],
): Promise<Map<number, BaseType>> {
  const made = subjects.some(({ columns }) => columns.some(({ typeOid }) => typeOid >= FIRST_USER_OID));
  if (!made) return new Map();
  const rows = await readCatalog<{ oid: number; base: number; citext: boolean }>(
    session,
    sql`WITH RECURSIVE base (oid, base) AS (
          SELECT t.oid, t.oid FROM pg_catalog.pg_type t WHERE t.typtype = 'd' OR t.typname = 'citext'
          UNION ALL
          SELECT b.oid, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.base AND t.typtype = 'd'
        )
        SELECT b.oid, b.base, t.typname = 'citext' AS citext FROM base b
          JOIN pg_catalog.pg_type t ON t.oid = b.base AND t.typtype <> 'd' ORDER BY b.oid`,
  );
  return new Map(rows.map((row) => [row.oid, { oid: row.base, isCitext: row.citext }]));
}

/** One relation by itself, also when it is a partition. */
export const subjectByItself = (table: MeasuredTable): RowSubject => subjectOf({ ...table }, [table]);
