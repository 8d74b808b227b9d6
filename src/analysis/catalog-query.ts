import type { Session } from '../target/session.ts';
import { sql, type Sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';

/** The schemas of people's own relations: not PostgreSQL's, not a session's temporary one, not ours. */
export const userSchemas = sql`n.nspname <> 'declutter' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`;

/** One table, or all of them. */
export interface Scope {
  readonly schema: string;
  readonly table: string;
}

/** Partitions come with their table: their figures are its figures. */
export const inScope = (scope: Scope | null): Sql =>
  scope === null
    ? userSchemas
    : sql`${userSchemas} AND c.oid IN (
        WITH RECURSIVE tree (oid) AS (
          SELECT o.oid FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace s ON s.oid = o.relnamespace
           WHERE s.nspname = ${scope.schema} AND o.relname = ${scope.table}
          UNION
          SELECT h.inhrelid FROM tree t JOIN pg_catalog.pg_inherits h ON h.inhparent = t.oid
            JOIN pg_catalog.pg_class o ON o.oid = h.inhrelid AND o.relispartition
        ) SELECT t.oid FROM tree t)`;

/**
 * Relations that somebody has locked, or waits to lock, in a mode that makes readers wait: functions that open a
 * relation (pg_relation_size, pg_get_indexdef) are not called on them.
 */
const lockedRelations = sql`
  SELECT l.relation FROM pg_catalog.pg_locks l
   WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
     AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())`;

/** When locks come faster than we can look: nothing is opened at all. */
const allRelations = sql`SELECT c.oid AS relation FROM pg_catalog.pg_class c`;

const LOCK_ATTEMPTS = 3;

/**
 * Runs a query that measures relations, leaving out the locked ones. A lock that comes between the look at pg_locks and
 * the measuring ends in our lock_timeout; the next attempt sees it.
 */
export async function readUnlocked<Row extends object>(
  session: Session,
  query: (locked: Sql) => Sql,
): Promise<Row[]> {
  for (let attempt = 1; attempt <= LOCK_ATTEMPTS; attempt++) {
    try {
      return await readCatalog<Row>(session, query(lockedRelations));
    } catch (error) {
      if (!isLocked(error)) throw error;
    }
  }
  return readCatalog<Row>(session, query(allRelations));
}

/** One statement in a transaction of its own, where every name means PostgreSQL's. */
export function readCatalog<Row extends object>(session: Session, query: Sql): Promise<Row[]> {
  return session.transaction(async () => {
    await session.script('SET LOCAL search_path = pg_catalog; SET LOCAL jit = off');
    return session.query<Row>(query);
  });
}

const isLocked = (error: unknown) => error instanceof TargetError && error.failure === 'LOCKED';

/** undefined_table, undefined_column: dropped while we were looking */
const GONE = ['42P01', '42703'];

/** The database could not or would not answer this one question; others may still be asked. */
export const isRefusal = (error: unknown): error is TargetError =>
  error instanceof TargetError &&
  (['LOCKED', 'CANCELLED', 'RIGHTS'].includes(error.failure) || GONE.includes(error.sqlstate ?? ''));
