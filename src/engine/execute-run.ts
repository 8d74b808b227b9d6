import type { Clock } from '../clock.ts';
import { heldTables } from '../domain/held-tables.ts';
import type { PlanSpec } from '../domain/plan.ts';
import type { Log } from '../log.ts';
import type { Operation } from '../operations/define-operation.ts';
import { Stop } from '../domain/stop.ts';
import { failpoint } from '../failpoint.ts';
import type { Claim } from '../store/leases.ts';
import { isStoreFailure, type Store } from '../store/open-store.ts';
import type { RunState } from '../domain/words.ts';
import { transition } from '../store/runs.ts';
import type { Session, SessionSettings } from '../target/session.ts';
import { Fenced } from '../target/ledger.ts';
import { TargetError } from '../target/sqlstate.ts';
import type { ArchiveKeys } from '../archive/archive-keys.ts';
import type { ArchiveStore } from '../archive/archive-store.ts';
import { attemptRun } from './attempt-run.ts';
import { LeaseLost, TurnBroken } from './batch.ts';
import type { HealthCheck } from './define-throttle.ts';
import { CANCELLED, type Ending, PAUSED } from './endings.ts';
import { Lease, type LeaseTimes } from './lease.ts';
import { stopFor } from './retry.ts';

export interface EngineDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly times: LeaseTimes;
  readonly connect: (databaseId: string, settings: SessionSettings) => Promise<Session>;
  readonly operations: ReadonlyMap<string, Operation>;
  readonly healthChecks: readonly HealthCheck[];
  readonly archiveStores: ReadonlyMap<string, ArchiveStore>;
  readonly archiveKeys: ArchiveKeys;
  readonly loadPlan: (planId: string) => Promise<{ spec: PlanSpec; hash: string }>;
}

/** How long a target may be away before the run pauses; the waits between the tries grow from a quarter of a second. */
const UNREACHABLE_MS = 120_000;

/** One worker's turn at a run: from the claim to an end, a pause or a loss. Never throws for what concerns the run alone. */
export async function executeRun(deps: EngineDeps, claim: Claim, stopping: AbortSignal): Promise<void> {
  const plan = await deps.loadPlan(claim.planId);
  const lease = new Lease(deps, claim, { tables: heldTables(plan.spec), holds: plan.spec.holds });
  const log = deps.log.child({ run: claim.runId });
  try {
    await lease.start();
    const ending = await attemptUntilReachable({ ...deps, log }, { claim, plan, lease, stopping });
    // Whoever cancelled while the worker was ending its turn gets what was asked for: all is sealed.
    await settle(deps, claim, ending, CANCELLED);
  } catch (error) {
    await leaveOrFail({ ...deps, log }, claim, error);
  } finally {
    await lease.stop();
  }
}

export interface Turn {
  readonly claim: Claim;
  readonly plan: { readonly spec: PlanSpec; readonly hash: string };
  readonly lease: Lease;
  readonly stopping: AbortSignal;
}

async function attemptUntilReachable(deps: EngineDeps, turn: Turn): Promise<Ending> {
  let lostAt: number | null = null;
  for (let tries = 0; ; tries++) {
    const before = deps.clock.monotonicMs();
    try {
      return await attemptRun(deps, turn);
    } catch (error) {
      if (!beginsAnew(error)) throw error;
      const now = deps.clock.monotonicMs();
      // An attempt that went on for a while had the target; only then does the time begin anew.
      if (lostAt === null || now - before > 10_000) [lostAt, tries] = [now, 0];
      deps.log.warn({ err: error }, 'the turn begins anew');
      const ending = givenUp(turn, now - lostAt, error);
      if (ending) return ending;
      await deps.clock.sleep(Math.min(10_000, 250 * 2 ** tries), turn.stopping);
    }
  }
}

/** Losses that a new session and a look into the ledger mend. */
const beginsAnew = (error: unknown): error is Error =>
  error instanceof TurnBroken || (error instanceof TargetError && error.failure === 'CONNECTION');

function givenUp({ lease, stopping }: Turn, awayMs: number, error: Error): Ending | null {
  if (!lease.isSafe) throw new LeaseLost();
  const { state } = lease.latest;
  if (state === 'PAUSING') return PAUSED;
  if (stopping.aborted || (state === 'CANCELLING' && awayMs > UNREACHABLE_MS)) {
    return {
      state: 'INTERRUPTED',
      code: 'UNREACHABLE',
      reason: `The database does not answer. ${error.message}`,
    };
  }
  if (awayMs < UNREACHABLE_MS) return null;
  const cause = stopFor(error.cause);
  if (error instanceof TurnBroken && cause instanceof Stop) {
    return { state: 'PAUSED', code: cause.stateCode, reason: cause.message };
  }
  return {
    state: 'PAUSED',
    code: 'UNREACHABLE',
    reason: `The database has not answered for ${UNREACHABLE_MS / 1000} s. Nothing is half done; resume the run when it is back.`,
  };
}

/** Writes the end down. A wish that came in meanwhile wins over a pause of our own, and a last batch over a wish to pause. */
async function settle(
  { store }: EngineDeps,
  claim: Claim,
  ending: Ending,
  whenCancelled: Ending,
): Promise<void> {
  failpoint('run.ending');
  if (await end(store, claim, ending, FROM[ending.state])) return;
  await end(store, claim, whenCancelled, ['CANCELLING']);
}

const FROM = {
  SUCCEEDED: ['RUNNING', 'PAUSING'],
  PAUSED: ['RUNNING', 'PAUSING'],
  CANCELLED: ['CANCELLING'],
  INTERRUPTED: ['RUNNING', 'PAUSING', 'CANCELLING'],
  FAILED: ['RUNNING', 'PAUSING', 'CANCELLING'],
} as const;

const end = (store: Store, claim: Claim, { state, code, reason }: Ending, from: readonly RunState[]) =>
  transition(store, claim.runId, {
    from,
    to: state,
    code,
    reason,
    workerId: claim.workerId,
    event: { kind: state, message: reason ?? 'Done.' },
  });

async function leaveOrFail(deps: EngineDeps, claim: Claim, error: unknown): Promise<void> {
  const reason = stopFor(error);
  if (reason instanceof Fenced || reason instanceof LeaseLost) {
    deps.log.warn({ err: reason }, 'leaving the run to another worker');
    return;
  }
  if (isStoreFailure(reason)) {
    deps.log.warn({ err: reason }, 'the control store failed; the lease runs out and the run is taken over');
    return;
  }
  deps.log.error({ err: reason }, 'the run stopped');
  const stop =
    reason instanceof Stop
      ? reason
      : new Stop(
          'UNEXPECTED',
          'Something went wrong that the engine does not know. See the log of the worker, then retry.',
          'FAILED',
        );
  const ending = { state: stop.outcome, code: stop.stateCode, reason: stop.message };
  // A cancel can't be fulfilled while what is archived is not sealed: it must not look as if it were.
  await settle(deps, claim, ending, { ...ending, state: 'FAILED' });
}
