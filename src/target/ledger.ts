import type { Session } from './session.ts';
import { integer, join, literal, type Sql, sql, toText } from './sql.ts';
import { TargetError } from './sqlstate.ts';

/** Raised when the ledger's tables or the order of a batch change: a worker leaves runs of a newer protocol alone. */
const PROTOCOL = 3;

interface EntryFrame {
  readonly segment: number;
  readonly start: number;
  readonly length: number;
  readonly sha256: string | null;
  readonly rowHash: string | null;
}

/** What a batch writes into the ledger. */
export interface LedgerEntry {
  readonly rows: number;
  readonly cursor: unknown;
  readonly frame: EntryFrame | null;
  /** what went along: rows by the place of their table among the plan's relations, lost references below 0 */
  readonly parts?: readonly {
    readonly part: number;
    readonly rows: number;
    readonly frame: EntryFrame | null;
  }[];
}

export interface LedgerPosition {
  readonly fence: number;
  /** of the last committed batch; 0 before the first */
  readonly number: number;
  readonly cursor: unknown;
  readonly totalRows: number;
  /** rows of other tables that went along */
  readonly totalIncluded: number;
}

/** Another worker has taken the run over; this one must leave without another word. */
export class Fenced extends Error {
  constructor() {
    super('Another worker has taken over this run.');
    this.name = 'Fenced';
  }
}

/**
 * Raises the fence: from now on no batch of an earlier worker can commit. Waits for the old transaction's row lock, so that
 * its fate is known; an old backend that does not end in time (it hangs in a write to a dead client, say) is ended, by its pid
 * and start time.
 */
export async function takeFence(
  session: Session,
  runId: string,
  planHash: string,
  worker: string,
): Promise<LedgerPosition> {
  try {
    return await raiseFence(session, runId, planHash, worker, BATCH_END_MS);
  } catch (error) {
    if (!(error instanceof TargetError) || error.failure !== 'LOCKED') throw error;
    await endOldBackend(session, runId);
    return raiseFence(session, runId, planHash, worker);
  }
}

/** A worker that was lost has had its lease's time to end its batch; more is needed only for a COMMIT that is being flushed. */
const BATCH_END_MS = 300;

async function raiseFence(
  session: Session,
  runId: string,
  planHash: string,
  worker: string,
  waitMs?: number,
): Promise<LedgerPosition> {
  return session.transaction(async () => {
    if (waitMs !== undefined) await session.script(`SET LOCAL lock_timeout = ${waitMs}`);
    const [taken] = await session.query<{ fence: string }>(sql`
      INSERT INTO declutter.run AS run (id, plan_hash, protocol, fence, worker, backend_pid, backend_start)
      VALUES (${runId}::pg_catalog.uuid, ${planHash}, ${integer(PROTOCOL)}, 1, ${worker},
              ${integer(session.backend.pid)}, ${session.backend.startedAt}::pg_catalog.timestamptz)
      ON CONFLICT (id) DO UPDATE SET fence = run.fence + 1, worker = excluded.worker,
              backend_pid = excluded.backend_pid, backend_start = excluded.backend_start
        WHERE run.protocol <= ${integer(PROTOCOL)}
      RETURNING fence::pg_catalog.text AS fence`);
    if (!taken) throw new Fenced(); // a newer worker's run: its batches are done in another order than ours
    const { fence } = taken;
    await session.execute(sql`
      INSERT INTO declutter.lane (run_id, lane, fence)
      SELECT ${runId}::pg_catalog.uuid, lane, ${integer(Number(fence))} FROM pg_catalog.generate_series(0, ${integer(PROBE_LANE)}) AS lane
      ON CONFLICT (run_id, lane) DO UPDATE SET fence = excluded.fence`);
    return readPosition(session, runId, Number(fence));
  });
}

/** Where the run is, for the holder of the fence. */
export async function readPosition(session: Session, runId: string, fence: number): Promise<LedgerPosition> {
  const [last] = await session.query<{ number: number; cursor: unknown; total: string }>(sql`
    SELECT number, cursor, total_rows::pg_catalog.text AS total FROM declutter.batch
     WHERE run_id = ${runId}::pg_catalog.uuid ORDER BY number DESC LIMIT 1`);
  return {
    fence,
    number: last?.number ?? 0,
    cursor: last?.cursor ?? null,
    totalRows: Number(last?.total ?? 0),
    totalIncluded: await includedRows(session, runId),
  };
}

async function includedRows(session: Session, runId: string): Promise<number> {
  const { rows } = await session.one<{ rows: string }>(sql`
    SELECT coalesce(pg_catalog.sum(rows), 0)::pg_catalog.text AS rows FROM declutter.part
     WHERE run_id = ${runId}::pg_catalog.uuid AND part >= 0`);
  return Number(rows);
}

/** Ends what the last worker left running on the server: a REINDEX goes on long after its client has died. */
export async function endOldBackend(session: Session, runId: string): Promise<void> {
  await session.query(sql`
    SELECT pg_catalog.pg_terminate_backend(activity.pid)
      FROM declutter.run AS run
      JOIN pg_catalog.pg_stat_activity AS activity
        ON (activity.pid = run.backend_pid AND activity.backend_start = run.backend_start)
        OR pg_catalog.starts_with(activity.application_name, ${laneName(runId, '')})
     WHERE run.id = ${runId}::pg_catalog.uuid
       AND activity.pid <> pg_catalog.pg_backend_pid()
       AND pg_catalog.starts_with(activity.application_name, 'declutter/')`);
}

/** What a lane's session is called; a worker opens its lanes after it has the fence, so all others are its predecessor's. */
export const laneName = (runId: string, lane: number | ''): string => `declutter/${runId}/lane${lane}`;

/** Batches of one run that may be under way at once, each in a lane (and session) of its own. */
export const LANES = 2;

/** For measurements, which wait for nobody there. */
const PROBE_LANE = LANES + 1;

/** For who watches a statement between batches; no row of the ledger is its own. */
export const WATCH_LANE = PROBE_LANE + 1;

/**
 * The row lock that every batch takes first, as text for a multi-statement message. Each lane has a row of its own: raising
 * the fence changes them all, and so waits for every batch that is under way.
 */
export const fenceCheck = (runId: string, lane: number): string =>
  toText(
    sql`SELECT fence::pg_catalog.text AS fence FROM declutter.lane
         WHERE run_id = ${runId}::pg_catalog.uuid AND lane = ${integer(lane)} FOR UPDATE`,
  );

/** Locks a row that no batch needs, as text for a multi-statement message: the smallest change there is. */
export const probeLock = (runId: string): string => fenceCheck(runId, PROBE_LANE);

/** The ledger's entry for a batch, as text for a multi-statement message. */
export function batchEntry(runId: string, position: LedgerPosition, done: LedgerEntry, ms: number): string {
  const entry = toText(sql`
    INSERT INTO declutter.batch (run_id, number, fence, cursor, rows, total_rows, segment, start, length, sha256, row_hash, ms)
    VALUES (${runId}::pg_catalog.uuid, ${integer(position.number + 1)}, ${integer(position.fence)},
            ${JSON.stringify(done.cursor)}::pg_catalog.jsonb, ${integer(done.rows)}, ${integer(position.totalRows + done.rows)},
            ${frameValues(done.frame)}, ${literal(ms.toFixed(2))}::pg_catalog.float4)`);
  if (done.parts === undefined || done.parts.length === 0) return entry;
  const parts = done.parts.map(
    ({
      part,
      rows,
      frame,
    }) => sql`(${runId}::pg_catalog.uuid, ${integer(position.number + 1)}, ${integer(part)},
            ${integer(rows)}, ${frameValues(frame)})`,
  );
  return `${entry}; ${toText(sql`
    INSERT INTO declutter.part (run_id, number, part, rows, segment, start, length, sha256, row_hash) VALUES ${join(parts, ', ')}`)}`;
}

function frameValues(frame: EntryFrame | null): Sql {
  const number = (value: number | undefined) => (value === undefined ? sql`NULL` : integer(value));
  return sql`${number(frame?.segment)}, ${number(frame?.start)}, ${number(frame?.length)},
            ${frame?.sha256 ?? null}::pg_catalog.text, ${frame?.rowHash ?? null}::pg_catalog.numeric`;
}
