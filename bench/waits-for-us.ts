import { setTimeout as rest } from 'node:timers/promises';
import type { BenchServer } from './bench-server.ts';

const LOOK_MS = 20;

export interface Waits {
  /** that a session of the application waited for a lock of a run, in milliseconds; as far as the looks have seen */
  readonly longestMs: number;
  /** sessions that were ended by somebody */
  readonly killed: number;
}

/** Watches the application's sessions while work is done. */
export async function waitsDuring<T>(
  server: BenchServer,
  database: string,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly waits: Waits }> {
  const client = await server.connect(database);
  let longestMs = 0;
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      const { rows } = await client.query<{ ms: number | null }>(LONGEST);
      longestMs = Math.max(longestMs, rows[0]?.ms ?? 0);
      await rest(LOOK_MS);
    }
  })();
  try {
    const result = await work();
    isOver = true;
    await looking;
    const { rows } = await client.query<{ killed: number }>(KILLED);
    return { result, waits: { longestMs, killed: rows[0]?.killed ?? 0 } };
  } finally {
    isOver = true;
    await client.end();
  }
}

const LONGEST = `
  SELECT max(1000 * extract(epoch FROM clock_timestamp() - l.waitstart))::float8 AS ms
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
   WHERE NOT l.granted AND a.application_name = 'application'
     AND EXISTS (SELECT FROM pg_stat_activity ours WHERE ours.pid = ANY (pg_blocking_pids(l.pid)) AND ours.application_name LIKE 'declutter/%')`;

const KILLED = `SELECT sessions_killed::int AS killed FROM pg_stat_database WHERE datname = current_database()`;
