import type { Session } from './session.ts';
import { integer, sql } from './sql.ts';

/** Of an index, what tells it from others and where to look for who works on it. */
interface Indexed {
  readonly oid: number;
  readonly tableOid: number;
}

/**
 * The invalid indexes of a table that another session may be building, rebuilding or dropping now. Who builds is shown to
 * roles that may read statistics; others see the process only, and by the lock that it holds on the table meanwhile.
 */
export async function readIndexesInWork(session: Session, tableOid: number): Promise<ReadonlySet<number>> {
  const rows = await session.transaction(() =>
    session.query<{ oid: number }>(sql`
      WITH building AS MATERIALIZED (
        SELECT p.pid, p.relid FROM pg_catalog.pg_stat_progress_create_index p
         WHERE p.datname = pg_catalog.current_database() AND p.pid <> pg_catalog.pg_backend_pid()
      ), held AS MATERIALIZED (
        SELECT l.pid, l.relation FROM pg_catalog.pg_locks l
         WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
           AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'AccessExclusiveLock')
           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
      )
      SELECT i.indexrelid::pg_catalog.oid::pg_catalog.int8::pg_catalog.float8 AS oid
        FROM pg_catalog.pg_index i
       WHERE i.indrelid = ${integer(tableOid)} AND NOT (i.indisvalid AND i.indisready AND i.indislive)
         AND (EXISTS (SELECT FROM held l WHERE l.relation = i.indexrelid)
              OR EXISTS (SELECT FROM building b WHERE b.relid = i.indrelid
                            OR b.relid IS NULL AND EXISTS (SELECT FROM held l WHERE l.pid = b.pid AND l.relation = i.indrelid)))
       ORDER BY 1`),
  );
  return new Set(rows.map(({ oid }) => oid));
}

export const isInWork = async (session: Session, { oid, tableOid }: Indexed): Promise<boolean> =>
  (await readIndexesInWork(session, tableOid)).has(oid);

/** Whether somebody has, or waits for, a lock with which indexes of the table are made. Autovacuum gives way by itself. */
export async function isMaintained(session: Session, tableOid: number): Promise<boolean> {
  const { maintained } = await session.transaction(() =>
    session.one<{ maintained: boolean }>(sql`
      SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'relation' AND l.relation = ${integer(tableOid)}
           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
           AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
           AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
           AND a.backend_type IS DISTINCT FROM 'autovacuum worker') AS maintained`),
  );
  return maintained;
}
