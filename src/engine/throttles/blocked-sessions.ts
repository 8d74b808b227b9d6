import { sql } from '../../target/sql.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Rests when other sessions wait for a lock that our batch holds. */
export const blockedSessions: HealthCheck = {
  name: 'blocked-sessions',
  async objection({ monitor, workerPids, throttle }) {
    const { blocked } = await monitor.one<{ blocked: number }>(sql`
      SELECT pg_catalog.count(*)::pg_catalog.int4 AS blocked FROM pg_catalog.pg_stat_activity
       WHERE wait_event_type = 'Lock' AND pg_catalog.pg_blocking_pids(pid) OPERATOR(pg_catalog.&&) ${workerPids.map(String)}::pg_catalog.int4[]`);
    if (blocked <= throttle.maxBlockedSessions) return null;
    return `${blocked} other session(s) wait for a lock of ours; at most ${throttle.maxBlockedSessions} may.`;
  },
};
