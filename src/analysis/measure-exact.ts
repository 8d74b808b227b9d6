import type { Clock } from '../clock.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, type Sql, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { readCatalog } from './catalog-query.ts';

/** What reading may cost, for one relation or for a whole database; what it does not reach is named. */
export interface Budget {
  readonly bytes: number;
  readonly ms: number;
}

const GIBIBYTE = 1024 ** 3;
/** An admin waits for the answer, and the server has other things to read. */
export const DATABASE_BUDGET: Budget = { bytes: 4 * GIBIBYTE, ms: 20_000 };
export const RELATION_BUDGET: Budget = { bytes: 16 * GIBIBYTE, ms: 20_000 };

export interface HeapMeasure {
  readonly rows: number;
  /** of one live row with its header, not aligned */
  readonly rowBytes: number;
  readonly deadRows: number;
  readonly deadBytes: number;
  /** in the pages, for whatever reason */
  readonly freeBytes: number;
}

export interface IndexMeasure {
  readonly leafPages: number;
  readonly innerPages: number;
  /** 0..1, of the leaves that are in use */
  readonly density: number;
}

/** Why something could not be measured. */
export interface NotMeasured {
  readonly code: string;
  readonly detail: string;
}

/** Reads relations with pgstattuple as long as the budget lasts. */
export interface Meter {
  /** why so many bytes cannot be read; null when they can */
  refuses(bytes: number): NotMeasured | null;
  heap(oid: number, bytes: number): Promise<HeapMeasure | NotMeasured>;
  index(oid: number, bytes: number): Promise<IndexMeasure | NotMeasured>;
}

export async function makeMeter(session: Session, clock: Clock, budget: Budget): Promise<Meter> {
  const schema = await findExtension(session);
  const deadline = clock.monotonicMs() + budget.ms;
  let bytesLeft = budget.bytes;
  const msLeft = () => Math.floor(deadline - clock.monotonicMs());
  const refuses = (bytes: number) =>
    typeof schema !== 'string' ? schema : bytes > bytesLeft || msLeft() <= 0 ? SPENT : null;
  const measure = async <Row extends object, Result>(
    bytes: number,
    query: (schema: string) => Sql,
    result: (row: Row) => Result,
  ) => {
    if (typeof schema !== 'string') return schema;
    const refusal = refuses(bytes);
    if (refusal) return refusal;
    bytesLeft -= bytes;
    return readWithin<Row, Result>(session, query(schema), result, msLeft());
  };
  return {
    refuses,
    heap: (oid, bytes) => measure(bytes, (own) => heapQuery(own, oid), heapMeasure),
    index: (oid, bytes) => measure(bytes, (own) => indexQuery(own, oid), indexMeasure),
  };
}

const SPENT: NotMeasured = {
  code: 'BUDGET_SPENT',
  detail: 'Not measured: the budget of time and bytes for reading was spent on others.',
};

/** The schema of pgstattuple, when it is there and this role may call it. */
async function findExtension(session: Session): Promise<string | NotMeasured> {
  const [row] = await readCatalog<{ schema: string; granted: boolean | null }>(
    session,
    sql`SELECT n.nspname AS schema, pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
               AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')) AS granted
          FROM pg_catalog.pg_extension e
          JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
          LEFT JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid AND p.proname IN ('pgstattuple', 'pgstatindex')
         WHERE e.extname = 'pgstattuple' GROUP BY n.nspname`,
  );
  if (!row)
    return {
      code: 'EXTENSION_MISSING',
      detail: 'Not measured: CREATE EXTENSION pgstattuple has not been run in this database.',
    };
  if (!row.granted)
    return {
      code: 'RIGHTS_MISSING',
      detail: 'Not measured: GRANT pg_stat_scan_tables TO the role lets it call pgstattuple.',
    };
  return row.schema;
}

async function readWithin<Row extends object, Result>(
  session: Session,
  query: Sql,
  result: (row: Row) => Result,
  ms: number,
): Promise<Result | NotMeasured> {
  try {
    return await session.transaction(async () => {
      await session.script(`SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = ${ms}`);
      return result(await session.one<Row>(query));
    });
  } catch (error) {
    const why = refusalInWords(error);
    if (why === null) throw error;
    return why;
  }
}

function refusalInWords(error: unknown): NotMeasured | null {
  if (!(error instanceof TargetError)) return null;
  switch (error.failure) {
    case 'LOCKED':
      return { code: 'LOCKED', detail: 'Not measured: another session holds a lock on it.' };
    case 'CANCELLED':
      return { code: 'BUDGET_SPENT', detail: 'Not measured: reading it took longer than the budget.' };
    case 'RIGHTS':
      return {
        code: 'RIGHTS_MISSING',
        detail: 'Not measured: the role may not read it (GRANT pg_stat_scan_tables).',
      };
    case 'DRIFT':
    case 'OTHER':
      return {
        code: 'NOT_MEASURABLE',
        detail: 'Not measured: pgstattuple refused this relation, or it is gone.',
      };
    default:
      return null;
  }
}

const heapQuery = (schema: string, oid: number) => sql`
  SELECT t.tuple_count::float8 AS rows, t.tuple_len::float8 AS bytes, t.dead_tuple_count::float8 AS dead, t.dead_tuple_len::float8 AS dead_bytes,
         t.free_space::float8 AS free
    FROM ${ident(schema, 'pgstattuple')}(${integer(oid)}::oid::regclass) t`;

const heapMeasure = (row: {
  rows: number;
  bytes: number;
  dead: number;
  dead_bytes: number;
  free: number;
}): HeapMeasure => ({
  rows: row.rows,
  rowBytes: row.rows === 0 ? 0 : row.bytes / row.rows,
  deadRows: row.dead,
  deadBytes: row.dead_bytes,
  freeBytes: row.free,
});

const indexQuery = (schema: string, oid: number) => sql`
  SELECT t.leaf_pages::float8 AS leaves, t.internal_pages::float8 AS inner_pages, t.avg_leaf_density::float8 AS density
    FROM ${ident(schema, 'pgstatindex')}(${integer(oid)}::oid::regclass) t`;

const indexMeasure = (row: { leaves: number; inner_pages: number; density: number }): IndexMeasure => ({
  leafPages: row.leaves,
  innerPages: row.inner_pages,
  density: Number.isFinite(row.density) ? row.density / 100 : 0,
});
