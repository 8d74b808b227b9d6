import { probeLock } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { sql, toText } from '../target/sql.ts';

const NOW = toText(sql`SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000 AS at`);

/**
 * How long a small change takes in the database, in milliseconds by its own clock: a row is looked up by its key and locked, which
 * is written to the WAL and made durable by a COMMIT. It leaves no dead row behind, and replicates nothing.
 */
export async function probe(session: Session, runId: string): Promise<number> {
  try {
    const results = await session.script(
      [
        'BEGIN',
        'SET LOCAL lock_timeout = 1000',
        'SET LOCAL statement_timeout = 5000',
        NOW,
        probeLock(runId),
        'COMMIT',
        NOW,
      ].join('; '),
    );
    const [begun, ended] = results.flatMap(({ rows: [row] }) =>
      row !== undefined && 'at' in row ? [Number(row['at'])] : [],
    );
    return (ended as number) - (begun as number);
  } catch (error) {
    await session.rollback(); // or the next one would be refused for this one's sake
    throw error;
  }
}

/** Whether others have used the server in the last seconds; where our role may not see what they do, they have. */
export async function isUsed(session: Session): Promise<boolean> {
  const { used } = await session.transaction(() =>
    session.one<{ used: boolean }>(sql`
      SELECT EXISTS (
        SELECT FROM pg_catalog.pg_stat_activity
         WHERE backend_type = 'client backend' AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
           AND NOT pg_catalog.starts_with(coalesce(application_name, ''), 'declutter')
           AND coalesce(state_change OPERATOR(pg_catalog.>) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) interval '5 seconds'), true)) AS used`),
  );
  return used;
}
