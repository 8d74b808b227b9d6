import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';

/** Sessions of others that run a statement in this database now; null where our role may not see what they do. */
export async function countActive(monitor: Session, ours: readonly number[]): Promise<number | null> {
  const { active, hidden } = await monitor.one<{ active: number; hidden: number }>(sql`
    SELECT pg_catalog.count(*) FILTER (WHERE state = 'active')::pg_catalog.int4 AS active,
           pg_catalog.count(*) FILTER (WHERE state IS NULL)::pg_catalog.int4 AS hidden
      FROM pg_catalog.pg_stat_activity
     WHERE datname = pg_catalog.current_database() AND usesysid IS NOT NULL AND coalesce(backend_type, '') NOT LIKE 'autovacuum%'
       AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() AND pid OPERATOR(pg_catalog.<>) ALL (${ours.map(String)}::pg_catalog.int4[])`);
  return hidden > 0 ? null : active;
}

export const ACTIVITY_HIDDEN =
  'Our role may not see how many sessions are active: GRANT pg_monitor (or pg_read_all_stats) to it.';
