import type { Session } from './session.ts';
import { integer, sql } from './sql.ts';

/** A session that others wait for; pid 0: a prepared transaction. */
export interface Holder {
  readonly pid: number;
  /** its application_name; null where our role may not see it */
  readonly name: string | null;
  /** when its transaction began; null: as above, or it has none */
  readonly since: string | null;
}

export interface Waits {
  /** LOCK: of a table or the like. TRANSACTIONS: old ones have to end, and nobody queues behind us. null: it does not wait */
  readonly kind: 'LOCK' | 'TRANSACTIONS' | null;
  readonly holders: readonly Holder[];
  /** Sessions of others that wait for it, or for those of its helpers, and that readers or writers queue behind in their turn. */
  readonly behind: number;
}

/** What the session with this pid waits for, and who waits for it. helpers: application_name of sessions that work for it; null: it has none */
export const readWaits = (session: Session, pid: number, helpers: string | null = null): Promise<Waits> =>
  session.transaction(() =>
    session.one<Waits>(sql`
      WITH ours AS (
        SELECT pg_catalog.array_agg(a.pid) AS pids FROM pg_catalog.pg_stat_activity a
         WHERE a.pid = ${integer(pid)} OR a.datname = pg_catalog.current_database() AND a.application_name = ${helpers}
      ), held_up AS (
        SELECT CASE WHEN locktype IN ('virtualxid', 'transactionid') THEN 'TRANSACTIONS' ELSE 'LOCK' END AS kind
          FROM pg_catalog.pg_locks WHERE pid = ${integer(pid)} AND NOT granted LIMIT 1)
      SELECT (SELECT kind FROM held_up) AS kind,
             (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('pid', b.pid, 'name', nullif(a.application_name, ''),
                                'since', a.xact_start::pg_catalog.timestamptz(0)::pg_catalog.text) ORDER BY b.pid), '[]')
                FROM (SELECT DISTINCT h.pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(${integer(pid)})) AS h (pid)
                       WHERE EXISTS (SELECT FROM held_up)) b
                LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid) AS holders,
             (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM ours, pg_catalog.pg_locks w
               WHERE NOT w.granted AND w.locktype = 'relation' AND w.pid <> ALL (ours.pids)
                 AND w.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                 AND ours.pids && pg_catalog.pg_blocking_pids(w.pid)) AS behind`),
  );

/** A transaction that ends within this is none that anybody waits for. */
const SHORT = '2 seconds';

/** Whose open transactions, other than short ones, have a lock of any kind on the table. */
export const readTableUsers = (session: Session, oid: number): Promise<readonly Holder[]> =>
  session.transaction(() =>
    session.query<Holder>(sql`
      SELECT DISTINCT coalesce(l.pid, 0) AS pid, nullif(a.application_name, '') AS name,
             a.xact_start::pg_catalog.timestamptz(0)::pg_catalog.text AS since
        FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
       WHERE l.locktype = 'relation' AND l.granted AND l.relation = ${integer(oid)}
         AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
         AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
         AND (l.pid IS NULL OR a.xact_start < pg_catalog.clock_timestamp() - ${SHORT}::pg_catalog.interval)
         AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
       ORDER BY 1`),
  );

/** "pid 12 (psql, in a transaction since 2026-01-31 10:00:00+00) and pid 13" */
export const holdersInWords = (holders: readonly Holder[]): string =>
  holders.map(holderInWords).join(' and ') || 'another session';

function holderInWords({ pid, name, since }: Holder): string {
  if (pid === 0) return 'a prepared transaction';
  const known = [name, since === null ? null : `in a transaction since ${since}`].filter(
    (part) => part !== null,
  );
  return `pid ${pid}${known.length === 0 ? '' : ` (${known.join(', ')})`}`;
}
