import type { RunResult, Throttle } from '../domain/run.ts';
import type { RunState } from '../domain/words.ts';
import type { Store } from './open-store.ts';
import { completeThrottle } from './run-throttle.ts';

/**
 * The lease of a run: our own row, by the control store's clock. The queue only nudges; this decides who may work.
 */
export interface Claim {
  readonly runId: string;
  readonly planId: string;
  readonly databaseId: string;
  readonly workerId: string;
  /** RUNNING, or CANCELLING when there is only tidying up left */
  readonly state: RunState;
}

/** Runs whose worker has not been heard of become INTERRUPTED; what somebody had asked for is remembered. */
export async function interruptLost(store: Store): Promise<number> {
  return store.prisma.$executeRaw`
    WITH lost AS (
      UPDATE run SET state = 'INTERRUPTED', "stateCode" = 'WORKER_LOST',
             "stateReason" = 'Its worker has not been heard of; another one takes over from the last batch.',
             asked = CASE state WHEN 'PAUSING' THEN 'PAUSED' WHEN 'CANCELLING' THEN 'CANCELLED' END::"RunState",
             "workerId" = NULL, "leaseUntil" = NULL, version = version + 1, "eventCount" = "eventCount" + 1
       WHERE state IN ('RUNNING', 'PAUSING', 'CANCELLING') AND "leaseUntil" < now()
      RETURNING id, "eventCount")
    INSERT INTO run_event ("runId", sequence, kind, message, data)
    SELECT id, "eventCount", 'INTERRUPTED', 'The worker was lost.', '{}' FROM lost`;
}

/** An interrupted run for which a pause had been asked needs no worker: it is paused where it is. */
export async function settlePauses(store: Store): Promise<number> {
  return store.prisma.$executeRaw`
    WITH settled AS (
      UPDATE run SET state = 'PAUSED', asked = NULL, "stateCode" = 'PAUSED_BY_REQUEST',
             "stateReason" = 'Paused as asked, before its worker was lost. Resume it to go on.',
             version = version + 1, "eventCount" = "eventCount" + 1
       WHERE state = 'INTERRUPTED' AND asked = 'PAUSED' RETURNING id, "eventCount")
    INSERT INTO run_event ("runId", sequence, kind, message, data)
    SELECT id, "eventCount", 'PAUSED', 'Paused as asked.', '{}' FROM settled`;
}

/** Until the first lease runs out that is not renewed, in milliseconds by the control store's clock; null: nobody has one. */
export async function nextLeaseEnd(store: Store): Promise<number | null> {
  const [next] = await store.prisma.$queryRaw<{ ms: number | null }[]>`
    SELECT (extract(epoch FROM min("leaseUntil") - clock_timestamp()) * 1000)::float8 AS ms FROM run
     WHERE state IN ('RUNNING', 'PAUSING', 'CANCELLING')`;
  return next?.ms ?? null;
}

export async function claimableRuns(store: Store): Promise<string[]> {
  const rows = await store.prisma.$queryRaw<{ id: string }[]>`
    SELECT id::text AS id FROM run
     WHERE state = 'QUEUED' OR (state = 'INTERRUPTED' AND asked IS DISTINCT FROM 'PAUSED')
        OR (state = 'CANCELLING' AND "workerId" IS NULL)
     ORDER BY "createdAt", run.id LIMIT 50`;
  return rows.map(({ id }) => id);
}

/** Takes the lease of one run, or null when it is not to be had. */
export async function claimRun(
  store: Store,
  id: string,
  workerId: string,
  leaseMs: number,
): Promise<Claim | null> {
  const rows = await store.prisma.$queryRaw<{ planId: string; databaseId: string; state: RunState }[]>`
    WITH claimed AS (
      UPDATE run SET
             state = CASE WHEN state = 'CANCELLING' OR asked = 'CANCELLED' THEN 'CANCELLING' ELSE 'RUNNING' END::"RunState",
             asked = NULL, "stateCode" = NULL, "stateReason" = NULL, "workerId" = ${workerId}, "heartbeatAt" = now(),
             "leaseUntil" = now() + ${leaseMs}::float8 * interval '1 millisecond',
             "startedAt" = coalesce("startedAt", now()), "endedAt" = NULL, version = version + 1, "eventCount" = "eventCount" + 1
       WHERE id = ${id}::uuid
         AND (state = 'QUEUED' OR (state = 'INTERRUPTED' AND asked IS DISTINCT FROM 'PAUSED')
              OR (state = 'CANCELLING' AND "workerId" IS NULL))
      RETURNING id, "planId", "databaseId", state, "eventCount"),
    told AS (
      INSERT INTO run_event ("runId", sequence, kind, message, data)
      SELECT id, "eventCount", 'CLAIMED', 'A worker has taken the run.', jsonb_build_object('worker', ${workerId}::text) FROM claimed)
    SELECT "planId"::text AS "planId", "databaseId"::text AS "databaseId", state::text AS state FROM claimed`;
  const claimed = rows[0];
  return claimed ? { ...claimed, runId: id, workerId } : null;
}

export interface Heartbeat {
  readonly state: RunState;
  readonly throttle: Throttle;
  readonly maintenanceStop: string | null;
  /** holds placed on the run's tables since its plan was made */
  readonly newHolds: number;
}

/** Renews the lease and brings what the worker has to know; null when the lease is lost. */
export async function renewLease(
  store: Store,
  claim: Claim,
  leaseMs: number,
  touched: { tables: readonly { schema: string; name: string }[]; holds: readonly string[] },
): Promise<Heartbeat | null> {
  const rows = await store.prisma.$queryRaw<Heartbeat[]>`
    UPDATE run SET "heartbeatAt" = now(), "leaseUntil" = now() + ${leaseMs}::float8 * interval '1 millisecond'
     WHERE id = ${claim.runId}::uuid AND "workerId" = ${claim.workerId} AND state IN ('RUNNING', 'PAUSING', 'CANCELLING')
    RETURNING state::text AS state, throttle,
      (SELECT reason FROM maintenance_stop WHERE "on") AS "maintenanceStop",
      (SELECT count(*)::int FROM hold WHERE hold."databaseId" = run."databaseId" AND (hold.schema, hold."table") IN (SELECT * FROM unnest(
            ${touched.tables.map(({ schema }) => schema)}::text[], ${touched.tables.map(({ name }) => name)}::text[])) AND hold."releasedAt" IS NULL
          AND hold.id::text <> ALL (${[...touched.holds]}::text[])) AS "newHolds"`;
  const [heartbeat] = rows;
  return heartbeat ? { ...heartbeat, throttle: completeThrottle(heartbeat.throttle) } : null;
}

export interface Progress {
  readonly rowsDone: number;
  readonly batches: number;
  readonly rowsPerSecond: number | null;
  readonly batchRows: number;
  readonly throttleReason: string | null;
  readonly result: RunResult;
}

/** What people see of a running run; only while the lease is held. */
export async function recordProgress(store: Store, claim: Claim, progress: Progress): Promise<void> {
  await store.prisma.run.updateMany({
    where: { id: claim.runId, workerId: claim.workerId },
    data: {
      rowsDone: progress.rowsDone,
      batches: progress.batches,
      rowsPerSecond: progress.rowsPerSecond,
      batchRows: progress.batchRows,
      throttleActive: progress.throttleReason !== null,
      throttleReason: progress.throttleReason,
      result: { ...progress.result },
    },
  });
}
