import type { Session } from './session.ts';
import { ident, sql, typedArray } from './sql.ts';

/** What pg_stat_statements has counted of one statement since it was reset last. */
export interface StatementTimes {
  /** queryid */
  readonly id: string;
  /** without its constants */
  readonly query: string;
  readonly calls: number;
  /** of all calls together, in milliseconds */
  readonly ms: number;
}

/** So many of those that took the most time. */
const MOST = 10;

/**
 * Statements that read or write rows and name the table, those that took most time first. A name is looked for as a word in
 * the text: that is all that is known of them. null: pg_stat_statements is not there, not loaded, or not for this role.
 */
export async function readTableStatements(session: Session, table: string): Promise<StatementTimes[] | null> {
  const schema = await schemaOf(session);
  if (schema === null) return null;
  const word = `(^|[^a-zA-Z0-9_$])${table.replace(/[^a-zA-Z0-9_]/g, '\\$&')}($|[^a-zA-Z0-9_$])`;
  return readTimes(
    session,
    schema,
    sql`query OPERATOR(pg_catalog.~) ${word}
    AND query OPERATOR(pg_catalog.~*) '^\\s*(select|insert|update|delete|merge|with)\\M' AND query NOT LIKE '%pg\\_catalog.%'`,
  );
}

/** The same statements later. */
export async function readStatements(
  session: Session,
  ids: readonly string[],
): Promise<StatementTimes[] | null> {
  const schema = await schemaOf(session);
  return schema === null
    ? null
    : readTimes(session, schema, sql`queryid = ANY (${typedArray(ids, 'pg_catalog.int8')})`);
}

const readTimes = (session: Session, schema: string, condition: ReturnType<typeof sql>) =>
  session.transaction(() =>
    session.query<StatementTimes>(sql`
      SELECT queryid::pg_catalog.text AS id, pg_catalog.min(query) AS query,
             pg_catalog.sum(calls)::pg_catalog.float8 AS calls, pg_catalog.sum(total_exec_time)::pg_catalog.float8 AS ms
        FROM ${ident(schema, 'pg_stat_statements')}
       WHERE dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) AND ${condition}
       GROUP BY queryid ORDER BY 4 DESC, 1 LIMIT ${String(MOST)}::pg_catalog.int8`),
  );

/** Of the extension, where it is also loaded: without that its view fails. */
async function schemaOf(session: Session): Promise<string | null> {
  const [row] = await session.transaction(() =>
    session.query<{ schema: string }>(sql`
      SELECT n.nspname AS schema FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
       WHERE e.extname = 'pg_stat_statements' AND pg_catalog.current_setting('pg_stat_statements.max', true) IS NOT NULL
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')`),
  );
  return row?.schema ?? null;
}
