import type { Clock } from '../clock.ts';
import { ROW_TOLERANCE, ROW_TOLERANCE_FLOOR, type PlanSpec } from '../domain/plan.ts';
import { BatchTooLarge, type BatchWork, Stop } from '../operations/define-operation.ts';
import type { LedgerPosition } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { BatchTuner } from './batch-size.ts';
import { type BatchResult, openBatch, prepareBatches, runBatch } from './batch.ts';
import type { HealthWatch } from './health-watch.ts';
import type { Lease } from './lease.ts';
import { type Ending, endingAsked } from './endings.ts';
import { RetryBudget } from './retry.ts';
import type { RunArchive } from './run-archive.ts';
import type { RunProgress } from './run-progress.ts';
import { restAfter } from './duty-cycle.ts';

/** What a worker's turn at a run needs, whatever the operation. */
export interface Performance {
  readonly runId: string;
  readonly plan: PlanSpec;
  readonly session: Session;
  readonly lease: Lease;
  readonly progress: RunProgress;
  readonly clock: Clock;
  /** The worker is shutting down. */
  readonly stopping: AbortSignal;
  /** for maxDuration: when this worker's attempt began, on the monotonic clock */
  readonly begunAt: number;
}

export interface BatchPerformance extends Performance {
  readonly health: HealthWatch;
  readonly archive: RunArchive | null;
}

/** Batch after batch until nothing is left or somebody asks for an end. @throws Stop, Fenced, LeaseLost, TargetError CONNECTION */
export async function performBatches(
  work: BatchWork,
  position: LedgerPosition,
  run: BatchPerformance,
): Promise<Ending> {
  const tuner = new BatchTuner();
  const retries = new RetryBudget(run);
  let at = position;
  await prepareBatches(run.session, run.plan);
  for (;;) {
    const ending = endingAsked(run);
    if (ending) return ending;
    if (await restWhileUnwell(run)) continue;
    if (!(await work.prepare())) break;
    const done = await tryBatch(work, at, run, tuner, retries);
    if (!done) continue;
    at = advance(at, done);
    assertWithinPlan(run, at.totalRows);
    await run.clock.sleep(restAfter(done.ms, run.lease.latest.throttle), run.stopping);
  }
  await finishWork(work, at, run);
  return { state: 'SUCCEEDED', code: null, reason: null };
}

async function tryBatch(
  work: BatchWork,
  at: LedgerPosition,
  run: BatchPerformance,
  tuner: BatchTuner,
  retries: RetryBudget,
): Promise<BatchResult | null> {
  const { throttle } = run.lease.latest;
  try {
    const done = await runBatch({ ...run, work }, at, tuner.size(throttle));
    work.confirm(done.rows);
    if (done.frame && run.archive) await run.archive.confirm(done.frame, done.rows);
    tuner.record({ ms: done.workMs - done.storeMs, units: done.units, rows: done.rows }, throttle);
    retries.succeeded();
    await run.progress.add(done);
    return done;
  } catch (error) {
    if (error instanceof BatchTooLarge) {
      if (tuner.shrink()) return null;
      throw new Stop(
        'ROW_TOO_LARGE',
        'A single row is larger than a batch may be. Exclude it by the filter, or remove it by hand.',
      );
    }
    if (await retries.shouldRetry(error)) {
      if (retries.wasCancelled) tuner.shrink();
      return null;
    }
    throw error;
  }
}

const advance = (at: LedgerPosition, done: BatchResult): LedgerPosition =>
  done.rows === 0
    ? at
    : { ...at, number: at.number + 1, cursor: done.cursor, totalRows: at.totalRows + done.rows };

/** A run does what its plan says, or stops: more rows than it counted (beyond the tolerance) is another plan. */
function assertWithinPlan({ plan, clock, begunAt }: Performance, totalRows: number): void {
  const counted = plan.rowsAreExact
    ? plan.rows + Math.max(plan.rows * ROW_TOLERANCE, ROW_TOLERANCE_FLOOR)
    : Infinity;
  const allowed = Math.min(counted, plan.limits.maxRows ?? Infinity);
  if (totalRows > allowed) {
    throw new Stop(
      'LIMIT',
      `The run has treated ${totalRows} rows; its plan allows ${Math.floor(allowed)}. Cancel it and plan again.`,
    );
  }
  const { maxDurationMs } = plan.limits;
  if (maxDurationMs !== null && clock.monotonicMs() - begunAt > maxDurationMs) {
    throw new Stop('LIMIT', 'The run has used up its maxDuration. Resume it to give it as much again.');
  }
}

async function restWhileUnwell(run: BatchPerformance): Promise<boolean> {
  const { objection } = run.health;
  if (objection === null) return false;
  await run.progress.resting(objection);
  await run.clock.sleep(250, run.stopping);
  return true;
}

async function finishWork(work: BatchWork, at: LedgerPosition, run: BatchPerformance): Promise<void> {
  await openBatch({ ...run, work }, at);
  try {
    await work.finish();
    await run.session.script('COMMIT');
  } catch (error) {
    await run.session.rollback();
    throw error;
  }
}
