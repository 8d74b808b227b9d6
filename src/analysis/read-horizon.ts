import type { Session } from '../target/session.ts';
import { type Sql, sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';

/** Something that makes VACUUM keep rows which nobody else can see any more. */
export interface HorizonHolder {
  readonly code: 'OLD_SNAPSHOT' | 'PREPARED_TRANSACTION' | 'REPLICATION_SLOT' | 'STANDBY_FEEDBACK';
  /** rows of all tables, or those of the system catalogs alone (logical slots) */
  readonly holds: 'ROWS' | 'CATALOGS';
  readonly detail: string;
  readonly pid: number | null;
  /** of the session's application or role, the transaction (gid), the slot, the standby */
  readonly name: string;
  /** since when; null when it cannot be told */
  readonly since: Date | null;
  /** transactions that have begun since */
  readonly transactions: number;
  /** state of a session; null when it has none, or is hidden from this role */
  readonly state: string | null;
  /** a slot that nobody reads from now */
  readonly isIdle: boolean;
}

/** Oldest first. Of sessions that the role may not see (pg_read_all_stats shows them) only the transactions are known. */
export async function readHorizon(session: Session): Promise<HorizonHolder[]> {
  const rows = await readCatalog<RawHolder>(session, holdersQuery(session.serverVersion));
  return rows.map((row) => ({ ...row, detail: describe(row) }));
}

/**
 * VACUUM's own sessions and those that send WAL show a horizon that is not theirs. A parallel worker holds no more than
 * its leader. What a slot holds is in the slot, so a standby that has one is not named twice.
 */
const holdersQuery = (version: number) => sql`
  SELECT 'OLD_SNAPSHOT' AS code, 'ROWS' AS holds, a.pid, coalesce(nullif(a.application_name, ''), a.usename, '') AS name,
         a.xact_start AS since,
         greatest(pg_catalog.age(a.backend_xmin), pg_catalog.age(a.backend_xid))::float8 AS transactions, a.state, false AS "isIdle"
    FROM pg_catalog.pg_stat_activity a
   WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
     AND a.pid <> pg_catalog.pg_backend_pid() AND a.leader_pid IS NULL
     AND (a.datname = pg_catalog.current_database() OR a.datname IS NULL)
     AND a.backend_type IS DISTINCT FROM 'walsender'
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_replication r WHERE r.pid = a.pid)
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = a.pid)
  UNION ALL
  SELECT 'PREPARED_TRANSACTION', 'ROWS', NULL, p.gid, p.prepared, pg_catalog.age(p.transaction)::float8, NULL, false
    FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database()
  UNION ALL
  ${slots(version, 'ROWS', sql`s.xmin`)}
  UNION ALL
  ${slots(version, 'CATALOGS', sql`s.catalog_xmin`)} AND s.xmin IS NULL
  UNION ALL
  SELECT 'STANDBY_FEEDBACK', 'ROWS', r.pid, coalesce(nullif(r.application_name, ''), r.client_addr::text, ''), NULL,
         pg_catalog.age(r.backend_xmin)::float8, NULL, false
    FROM pg_catalog.pg_stat_replication r WHERE r.backend_xmin IS NOT NULL
   ORDER BY transactions DESC, code, holds, pid, name`;

/** A slot that has lost its WAL holds nothing any more, and serves nobody. */
const slots = (version: number, holds: HorizonHolder['holds'], horizon: Sql) => sql`
  SELECT 'REPLICATION_SLOT', ${holds}, s.active_pid, s.slot_name::text,
         ${version >= 170_000 ? sql`s.inactive_since` : sql`NULL::timestamptz`},
         pg_catalog.age(${horizon})::float8, NULL, NOT s.active
    FROM pg_catalog.pg_replication_slots s WHERE ${horizon} IS NOT NULL AND s.wal_status IS DISTINCT FROM 'lost'`;

type RawHolder = Omit<HorizonHolder, 'detail'>;

function describe(row: RawHolder): string {
  const age = `${row.transactions} transactions ago${row.since ? `, since ${row.since.toISOString()}` : ''}`;
  const name = row.name === '' ? '' : ` "${row.name}"`;
  switch (row.code) {
    case 'OLD_SNAPSHOT':
      return `Session ${row.pid ?? ''}${name} has a transaction open that began ${age}; VACUUM keeps what it may still see.`;
    case 'PREPARED_TRANSACTION':
      return `The prepared transaction${name} is neither committed nor rolled back, ${age}; VACUUM keeps what it may still see.`;
    case 'REPLICATION_SLOT':
      return slotInWords(row, name);
    case 'STANDBY_FEEDBACK':
      return `The standby${name} asks by hot_standby_feedback to keep rows, ${age}.`;
  }
}

function slotInWords({ holds, isIdle, since, transactions }: RawHolder, name: string): string {
  const what = holds === 'CATALOGS' ? "VACUUM of the system catalogs' rows" : 'VACUUM';
  const idle =
    since === null ? 'nobody reads from it' : `nobody has read from it since ${since.toISOString()}`;
  return `The replication slot${name} holds back ${what}, ${transactions} transactions ago${isIdle ? `; ${idle}` : ''}.`;
}
