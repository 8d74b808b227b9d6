import type { Session } from './session.ts';
import { ident, integer, sql, toText } from './sql.ts';

/** What pg_repack keeps beside a table while it works, and leaves there when it is killed. */
export interface RepackState {
  /** names for people */
  readonly leftovers: readonly string[];
  /** pids of sessions in which pg_repack works on the table now */
  readonly workers: readonly number[];
}

/** The first key of the advisory lock that pg_repack takes for each table; the second is made of the table's OID. */
const LOCK_CLASS = 16_185_446;

const lockNumber = (oid: number) => (oid + 2 ** 31) % 2 ** 32;

/** Takes no lock. */
export async function readRepackState(session: Session, oid: number): Promise<RepackState> {
  return session.one<RepackState>(sql`
    SELECT (SELECT coalesce(pg_catalog.json_agg(name ORDER BY name), '[]') FROM (
              SELECT 'the trigger repack_trigger' AS name FROM pg_catalog.pg_trigger
               WHERE tgrelid = ${integer(oid)} AND tgname = 'repack_trigger'
               UNION ALL
              SELECT 'repack.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'repack' AND c.relkind = 'r' AND c.relname IN (${`log_${oid}`}, ${`table_${oid}`})
               UNION ALL
              SELECT 'repack.' || t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
               WHERE n.nspname = 'repack' AND t.typname = ${`pk_${oid}`}) found) AS leftovers,
           (SELECT coalesce(pg_catalog.json_agg(l.pid ORDER BY l.pid), '[]') FROM pg_catalog.pg_locks l
             WHERE l.locktype = 'advisory' AND l.granted AND l.classid = ${integer(LOCK_CLASS)} AND l.objid = ${integer(lockNumber(oid))}
               AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())) AS workers`);
}

/** Ends the sessions of a run's pg_repack, which carry this name, and answers with the pids of those that were there. */
export async function endHelpers(session: Session, name: string): Promise<readonly number[]> {
  const ended = await session.transaction(() =>
    session.query<{ pid: number }>(sql`
      SELECT pid, pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
       WHERE datname = pg_catalog.current_database() AND application_name = ${name} AND pid <> pg_catalog.pg_backend_pid()
       ORDER BY pid`),
  );
  return ended.map(({ pid }) => pid);
}

/** How long others may have to queue behind the lock that dropping the trigger takes. */
const LOCK_MS = 100;

/**
 * Drops them in one transaction. The trigger goes with the tables that it writes into, so that no write fails in between.
 * @throws TargetError LOCKED when the table is in use
 */
export async function removeRepackLeftovers(
  session: Session,
  table: { readonly oid: number; readonly schema: string; readonly name: string },
): Promise<void> {
  const { oid, schema, name } = table;
  await session.transaction(() =>
    session.script(
      [
        `SET LOCAL lock_timeout = ${LOCK_MS}`,
        toText(sql`DROP TRIGGER IF EXISTS repack_trigger ON ${ident(schema, name)}`),
        toText(
          sql`DROP TABLE IF EXISTS ${ident('repack', `log_${oid}`)}, ${ident('repack', `table_${oid}`)}`,
        ),
        toText(sql`DROP TYPE IF EXISTS ${ident('repack', `pk_${oid}`)}`),
      ].join('; '),
    ),
  );
}
