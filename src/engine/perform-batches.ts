import { StoreBusy } from '../archive/store-busy.ts';
import type { Clock } from '../clock.ts';
import { ROW_TOLERANCE, ROW_TOLERANCE_FLOOR, type PlanSpec } from '../domain/plan.ts';
import { BatchTooLarge, type BatchWork } from '../operations/define-operation.ts';
import { Stop } from '../domain/stop.ts';
import type { Store } from '../store/open-store.ts';
import { type LedgerPosition, WATCH_LANE } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { BatchTuner } from './batch-size.ts';
import { type BatchResult, type Lane, openTransaction } from './batch.ts';
import type { Foreground } from './foreground.ts';
import type { HealthWatch } from './health-watch.ts';
import { Lanes } from './lanes.ts';
import type { Lease } from './lease.ts';
import { type Ending, endingAsked } from './endings.ts';
import { Pipeline } from './pipeline.ts';
import { RetryBudget } from './retry.ts';
import { performStatement } from './perform-statements.ts';
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
  readonly store: Store;
  readonly health: HealthWatch;
  readonly foreground: Foreground;
  readonly archive: RunArchive | null;
  /** Opens one more session for batches. */
  readonly openLane: (lane: number) => Promise<Session>;
}

/** Batch after batch until nothing is left or somebody asks for an end. @throws Stop, Fenced, LeaseLost, TargetError CONNECTION */
export async function performBatches(
  work: BatchWork,
  position: LedgerPosition,
  run: BatchPerformance,
): Promise<Ending> {
  const tuner = new BatchTuner(work.bytesPerUnit, work.leastRows);
  const retries = new RetryBudget(run);
  const lanes = new Lanes(work, run);
  const committed = afterCommit(work, tuner, retries, run);
  const allow = (totalRows: number, totalIncluded: number) => assertWithinPlan(run, totalRows, totalIncluded);
  const pipelineAt = async (at: LedgerPosition) =>
    new Pipeline({ work, context: run, lanes: await lanes.take(), allow, committed }, at);
  let pipeline = await pipelineAt(position);
  for (;;) {
    try {
      const ending = await feed(pipeline, { work, tuner, lanes }, run);
      const at = await pipeline.drain();
      if (ending === 'OTHER_LANES') pipeline = await pipelineAt(at);
      else if (ending === 'NONE') {
        await finishWork(work, at, lanes.first, run);
        return { state: 'SUCCEEDED', code: null, reason: null };
      } else if (ending !== 'MORE') return ending;
    } catch (error) {
      await pipeline.settle();
      run.foreground.ends();
      await takeSmaller(error, tuner, retries);
    }
  }
}

function afterCommit(work: BatchWork, tuner: BatchTuner, retries: RetryBudget, run: BatchPerformance) {
  const { lease, archive, foreground, progress } = run;
  return async (done: BatchResult): Promise<void> => {
    const asked = lease.latest;
    foreground.ends();
    await archive?.confirm(done);
    if (done.unitsChange) tuner.restart();
    if (!done.isStep) {
      const rows = done.rows + done.included;
      tuner.record({ ms: done.workMs, units: done.units, rows }, lease.latest.throttle);
    }
    retries.succeeded();
    await progress.add(done, foreground.reason);
    const ms = restAfter(done.ms, foreground);
    if (ms === 0 || !work.hasNext || lease.latest.state !== 'RUNNING') return;
    foreground.rests(ms);
    await lease.rest(ms, asked, run.stopping);
  };
}

interface Feeding {
  readonly work: BatchWork;
  readonly tuner: BatchTuner;
  readonly lanes: Lanes;
}

/** Sets batches off until somebody asks for an end, or there is nothing left to pick before all have committed. */
async function feed(
  pipeline: Pipeline,
  { work, tuner, lanes }: Feeding,
  run: BatchPerformance,
): Promise<Ending | 'MORE' | 'NONE' | 'OTHER_LANES'> {
  while (work.hasNext) {
    const ending = endingAsked(run);
    if (ending) return ending;
    if (await restWhileUnwell(run)) continue;
    if (!lanes.fit) return 'OTHER_LANES';
    await pipeline.add(() => work.pick(tuner.size(run.lease.latest.throttle)));
    run.foreground.begins(run.lease.latest.throttle.batchMs);
  }
  await pipeline.drain();
  return endingAsked(run) ?? (await performDue(work, run)) ?? ((await work.prepare()) ? 'MORE' : 'NONE');
}

/** What cannot be done in a transaction; watched from a session of its own, since the checks of health use the other one. */
async function performDue(work: BatchWork, run: BatchPerformance): Promise<Ending | null> {
  for (const statement of work.statements?.() ?? []) {
    const monitor = await run.openLane(WATCH_LANE);
    try {
      const ending = await performStatement(statement, { ...run, monitor });
      if (ending) return ending;
    } finally {
      await monitor.close();
    }
  }
  return null;
}

/** Whether the batch can be tried again, smaller or later. @throws whatever a retry does not mend */
async function takeSmaller(error: unknown, tuner: BatchTuner, retries: RetryBudget): Promise<void> {
  if (error instanceof BatchTooLarge) {
    if (tuner.shrink(error.reason)) return;
    throw new Stop(
      'ROW_TOO_LARGE',
      'A single row is larger than a batch may be, with all that goes along. Nothing of it has changed; leave it out by the filter, or remove it by hand.',
    );
  }
  if (error instanceof StoreBusy) tuner.shrink();
  await retries.waitFor(error);
  if (retries.wantsLess) tuner.shrink();
}

/** A run does what its plan says, or stops: more rows than it counted (beyond the tolerance) is another plan. */
function assertWithinPlan(
  { plan, clock, begunAt }: Performance,
  totalRows: number,
  totalIncluded: number,
): void {
  const counted = plan.rowsAreExact
    ? plan.rows + Math.max(plan.rows * ROW_TOLERANCE, ROW_TOLERANCE_FLOOR)
    : Infinity;
  const allowed = Math.min(counted, plan.limits.maxRows ?? Infinity);
  if (totalRows > allowed) {
    throw new Stop(
      'LIMIT',
      `There are more rows than the ${Math.floor(allowed)} that the plan allows. Cancel the run and plan again.`,
    );
  }
  assertIncludedWithinPlan(plan, totalIncluded);
  const { maxDurationMs } = plan.limits;
  if (maxDurationMs !== null && clock.monotonicMs() - begunAt > maxDurationMs) {
    throw new Stop('LIMIT', 'The run has used up its maxDuration. Resume it to give it as much again.');
  }
}

function assertIncludedWithinPlan({ included }: PlanSpec, total: number): void {
  const allowed = (included ?? 0) + Math.max((included ?? 0) * ROW_TOLERANCE, ROW_TOLERANCE_FLOOR);
  if (included == null || total <= allowed) return;
  throw new Stop(
    'LIMIT',
    `More rows reference the chosen ones than the ${Math.floor(allowed)} that the plan allows. Cancel the run and plan again.`,
  );
}

async function restWhileUnwell(run: BatchPerformance): Promise<boolean> {
  const asked = run.lease.latest;
  const objection = await run.health.objection();
  if (objection === null) return false;
  if (typeof objection !== 'string') throw new Stop(objection.code, objection.pause);
  await run.progress.resting(objection);
  await run.lease.rest(250, asked, run.stopping);
  return true;
}

async function finishWork(
  work: BatchWork,
  at: LedgerPosition,
  lane: Lane,
  run: BatchPerformance,
): Promise<void> {
  if (!work.finish) return;
  try {
    await openTransaction(run, lane, at.fence);
    await work.finish();
    await lane.session.script('COMMIT');
  } catch (error) {
    await lane.session.rollback();
    throw error;
  }
}
