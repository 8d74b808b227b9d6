import type { PlanNotice } from '../domain/plan.ts';
import { sql } from '../target/sql.ts';
import { notice, type PlanContext } from './plan-context.ts';

/** What builds or drops an index concurrently waits for transactions that began before it, whatever they do. */
export async function oldTransactions({ session }: PlanContext): Promise<PlanNotice[]> {
  const rows = await session.transaction(() =>
    session.query<{ pid: number; minutes: number }>(sql`
      SELECT pid, (extract(epoch FROM pg_catalog.now() - xact_start) / 60)::pg_catalog.int4 AS minutes
        FROM pg_catalog.pg_stat_activity
       WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'
         AND xact_start < pg_catalog.now() - interval '1 minute'
       ORDER BY xact_start, pid LIMIT 3`),
  );
  return rows.map(({ pid, minutes }) =>
    notice(
      'OLD_TRANSACTION',
      `The session with pid ${pid} has had a transaction open for ${minutes} minutes: the run waits for it a minute at most, then pauses.`,
      'Let it end first.',
    ),
  );
}
