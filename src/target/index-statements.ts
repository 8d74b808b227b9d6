import { isLeftoverOf } from '../domain/index-spec.ts';
import { type IndexState, readInvalidIndexesOf } from './index-state.ts';
import type { Session } from './session.ts';
import { ident, integer, literal, type Sql, sql } from './sql.ts';

interface Named {
  readonly schema: string;
  readonly name: string;
}

/** How long a drop waits for each of the transactions that use the table; nobody but other maintenance waits for it. */
export const BRIEFLY_MS = 5_000;
export const PATIENTLY_MS = 60_000;

export const dropIndexSql = ({ schema, name }: Named): Sql =>
  sql`DROP INDEX CONCURRENTLY ${ident(schema, name)}`;

export const reindexSql = ({ schema, name }: Named): Sql =>
  sql`REINDEX INDEX CONCURRENTLY ${ident(schema, name)}`;

/** definition: as pg_get_indexdef writes it */
export const concurrently = (definition: string): string =>
  definition.replace(/^(CREATE (?:UNIQUE )?INDEX) /, '$1 CONCURRENTLY ');

export const commentSql = ({ schema, name }: Named, text: string): Sql =>
  sql`COMMENT ON INDEX ${ident(schema, name)} IS ${literal(text)}`;

/**
 * A definition names what is not PostgreSQL's own, and the tablespace where that is not the database's. The bodies of functions in it
 * may not: up to PostgreSQL 16 they find what the session's search_path finds. Which one that was when the index was made nobody
 * knows; most likely the role's own, as for every REINDEX of ours. pg_catalog stays first, for the definition.
 */
export const BUILD_SETTINGS = [
  "SET default_tablespace = ''",
  'RESET search_path',
  `SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog', nullif(pg_catalog.current_setting('search_path'), '')), false)`,
];

/** What rebuilds of indexes of these names have left behind at the table. */
export const readLeftovers = async (
  session: Session,
  tableOid: number,
  names: readonly string[],
): Promise<IndexState[]> =>
  (await readInvalidIndexesOf(session, tableOid)).filter(({ name }) =>
    names.some((original) => isLeftoverOf(name, original)),
  );

/** Where a session builds an index now; null: it builds none. */
export async function readBuildProgress(
  session: Session,
  pid: number,
): Promise<{ phase: string; done: number | null; total: number | null } | null> {
  const [row] = await session.transaction(() =>
    session.query<{ phase: string; done: number | null; total: number | null }>(sql`
      SELECT phase,
             CASE WHEN blocks_total > 0 THEN blocks_done WHEN tuples_total > 0 THEN tuples_done
                  WHEN lockers_total > 0 THEN lockers_done END::pg_catalog.float8 AS done,
             CASE WHEN blocks_total > 0 THEN blocks_total WHEN tuples_total > 0 THEN tuples_total
                  WHEN lockers_total > 0 THEN lockers_total END::pg_catalog.float8 AS total
        FROM pg_catalog.pg_stat_progress_create_index WHERE pid = ${integer(pid)}`),
  );
  return row ?? null;
}
