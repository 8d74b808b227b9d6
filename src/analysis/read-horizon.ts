import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog } from './catalog-query.ts';

/** Something that makes VACUUM keep rows which nobody else can see any more. */
export interface HorizonHolder {
  readonly code: 'OLD_SNAPSHOT' | 'PREPARED_TRANSACTION' | 'REPLICATION_SLOT' | 'STANDBY_FEEDBACK';
  readonly detail: string;
  readonly pid: number | null;
  /** since when; null when it cannot be told */
  readonly since: Date | null;
  /** transactions that have begun since */
  readonly transactions: number;
}

/** Oldest first. What the role may not see of other sessions is not there: pg_monitor shows it. */
export async function readHorizon(session: Session): Promise<HorizonHolder[]> {
  const rows = await readCatalog<RawHolder>(session, QUERY);
  return rows.map((row) => ({ ...row, detail: describe(row) }));
}

const QUERY = sql`
  SELECT 'OLD_SNAPSHOT' AS code, a.pid, coalesce(nullif(a.application_name, ''), a.usename, '') AS name, a.xact_start AS since,
         pg_catalog.age(coalesce(a.backend_xmin, a.backend_xid))::float8 AS transactions
    FROM pg_catalog.pg_stat_activity a
   WHERE coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
     AND a.backend_type <> 'walsender' AND (a.datname = pg_catalog.current_database() OR a.datname IS NULL)
  UNION ALL
  SELECT 'PREPARED_TRANSACTION', NULL, p.gid, p.prepared, pg_catalog.age(p.transaction)::float8
    FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database()
  UNION ALL
  SELECT 'REPLICATION_SLOT', s.active_pid, s.slot_name, NULL, pg_catalog.age(s.xmin)::float8
    FROM pg_catalog.pg_replication_slots s WHERE s.xmin IS NOT NULL
  UNION ALL
  SELECT 'STANDBY_FEEDBACK', r.pid, coalesce(nullif(r.application_name, ''), r.client_addr::text, ''), NULL,
         pg_catalog.age(r.backend_xmin)::float8
    FROM pg_catalog.pg_stat_replication r WHERE r.backend_xmin IS NOT NULL
   ORDER BY transactions DESC, code, pid`;

interface RawHolder {
  code: HorizonHolder['code'];
  pid: number | null;
  name: string;
  since: Date | null;
  transactions: number;
}

function describe(row: RawHolder): string {
  const age = `${row.transactions} transactions ago${row.since ? `, since ${row.since.toISOString()}` : ''}`;
  const name = row.name === '' ? '' : ` "${row.name}"`;
  switch (row.code) {
    case 'OLD_SNAPSHOT':
      return `Session ${row.pid ?? ''}${name} has a transaction open that began ${age}; VACUUM keeps what it may still see.`;
    case 'PREPARED_TRANSACTION':
      return `The prepared transaction${name} is neither committed nor rolled back, ${age}; VACUUM keeps what it may still see.`;
    case 'REPLICATION_SLOT':
      return `The replication slot${name} holds back VACUUM, ${age}.`;
    case 'STANDBY_FEEDBACK':
      return `The standby${name} asks by hot_standby_feedback to keep rows, ${age}.`;
  }
}
