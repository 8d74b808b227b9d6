import type { Clock } from '../clock.ts';
import { type PolicyDraft, timetableOf } from '../domain/policy.ts';
import type { Principal } from '../domain/principal.ts';
import type { PolicyOutcome } from '../domain/words.ts';
import { DeclutterError } from '../errors.ts';
import type { Store } from '../store/open-store.ts';
import { askForApproval, type PlanView, requirePlan } from '../store/plans.ts';
import {
  type PolicyTurnView,
  postponeTurn,
  recordPlan,
  renewTurn,
  settleTurn,
  type TakenTurn,
  unfinishedTurn,
} from '../store/policy-turns.ts';
import { findRunByPlan, type RunView } from '../store/runs.ts';
import { isAbove, type MakePlan, planOf, principalOf } from './policy-plans.ts';
import { nextOpening } from './timetable.ts';

export interface CarryOutDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly plan: MakePlan;
  /** Starts exactly the plan with this hash, or refuses. */
  readonly start: (planId: string, hash: string, key: string, by: Principal) => Promise<RunView>;
}

/** What came of a turn; a plan where there is one, and a run where it was started. */
export interface TurnResult {
  readonly outcome: PolicyOutcome;
  readonly detail: string | null;
  readonly plan: PlanView | null;
  readonly run: RunView | null;
}

const RENEW_MS = 20_000;

/** null: somebody else has taken the turn over. Failures are thrown: it depends on who asked what is done about them. */
export async function carryOut(
  deps: CarryOutDeps,
  { turn, policy }: TakenTurn,
  by: Principal | null,
): Promise<TurnResult | null> {
  if (!policy.enabled && turn.planId === null)
    return settle(deps, turn, {
      ...NOTHING,
      outcome: 'MISSED',
      detail: 'The policy is not enabled any more.',
    });
  return whileHeld(deps, turn, async () => {
    const unfinished = turn.planId === null ? await unfinishedTurn(deps.store, turn) : null;
    if (unfinished !== null)
      return settle(deps, turn, { ...NOTHING, outcome: 'OVERLAPPED', detail: unfinished });
    const plan = await planOfTurn(deps, { policy, turn, by });
    return plan && treat(deps, { policy, turn, by }, plan);
  });
}

interface Work {
  readonly policy: PolicyDraft;
  readonly turn: PolicyTurnView;
  /** null: whoever the turn was opened for */
  readonly by: Principal | null;
}

const NOTHING = { detail: null, plan: null, run: null };

/** The plan that the turn has already, or one that is its own from now on. A plan that came too late is never started. */
async function planOfTurn(deps: CarryOutDeps, { policy, turn, by }: Work): Promise<PlanView | null> {
  const { store, clock } = deps;
  if (turn.planId !== null) return requirePlan(store, turn.planId, clock.now());
  const plan = await planOf(deps.plan, policy, turn, by);
  const above = isAbove(policy.autoStartMaxRows, plan);
  if (above) await askForApproval(store, plan.id);
  if (!(await recordPlan(store, turn, plan.id))) return null;
  return above ? requirePlan(store, plan.id, clock.now()) : plan;
}

async function treat(deps: CarryOutDeps, work: Work, plan: PlanView): Promise<TurnResult | null> {
  const { turn } = work;
  switch (plan.state) {
    case 'READY':
    case 'APPROVED':
      return startWithin(deps, work, plan);
    case 'NEEDS_APPROVAL':
      return settle(deps, turn, waiting(plan));
    case 'BLOCKED': {
      const codes = plan.forecast.blockers.map(({ code }) => code).join(', ');
      return settle(deps, turn, {
        outcome: 'BLOCKED',
        detail: `The plan is blocked: ${codes}.`,
        plan,
        run: null,
      });
    }
    case 'STARTED':
      return started(deps, turn, plan, await findRunByPlan(deps.store, plan.id));
    case 'REJECTED':
    case 'EXPIRED':
    case 'STALE':
      return settle(deps, turn, {
        outcome: 'REJECTED',
        detail: `The plan is ${plan.state}.`,
        plan,
        run: null,
      });
  }
}

const waiting = (plan: PlanView): TurnResult => ({
  outcome: 'WAITING',
  detail: `The plan ${plan.id} waits for approval by somebody else (approvePlan); it starts by itself then.`,
  plan,
  run: null,
});

/** What was approved outside of the window starts when that opens; what somebody asks for by hand, at once. */
async function startWithin(
  deps: CarryOutDeps,
  { policy, turn, by }: Work,
  plan: PlanView,
): Promise<TurnResult | null> {
  const now = deps.clock.now();
  const timetable = turn.tickAt !== null && plan.state === 'APPROVED' ? timetableOf(policy) : null;
  const opening = timetable && nextOpening(timetable, timetable.window, now);
  if (opening !== null) {
    const detail = `The plan ${plan.id} is approved, and starts when the window opens.`;
    await postponeTurn(deps.store, turn, 'WAITING', detail, opening.getTime() - now.getTime());
    return { outcome: 'WAITING', detail, plan, run: null };
  }
  try {
    const key = `policy/${turn.id}`;
    return await started(
      deps,
      turn,
      plan,
      await deps.start(plan.id, plan.hash, key, by ?? principalOf(turn)),
    );
  } catch (error) {
    return whenRefused(deps, turn, plan, error);
  }
}

/** Somebody has started the plan by hand, or it needs an approval after all. */
async function whenRefused(
  deps: CarryOutDeps,
  turn: PolicyTurnView,
  plan: PlanView,
  error: unknown,
): Promise<TurnResult | null> {
  if (error instanceof DeclutterError && error.code === 'APPROVAL_REQUIRED')
    return settle(deps, turn, waiting(await requirePlan(deps.store, plan.id, deps.clock.now())));
  const run = await findRunByPlan(deps.store, plan.id);
  if (run === null) throw error;
  return started(deps, turn, plan, run);
}

const started = (deps: CarryOutDeps, turn: PolicyTurnView, plan: PlanView, run: RunView | null) =>
  settle(deps, turn, { outcome: 'STARTED', detail: null, plan: { ...plan, state: 'STARTED' }, run });

export async function settle(
  { store }: Pick<CarryOutDeps, 'store'>,
  turn: PolicyTurnView,
  result: TurnResult,
): Promise<TurnResult | null> {
  const { outcome, detail, run } = result;
  return (await settleTurn(store, turn, { outcome, detail, runId: run?.id ?? null })) ? result : null;
}

/** Planning may take longer than a lost process is waited for. */
async function whileHeld<T>(
  { store, clock }: CarryOutDeps,
  turn: PolicyTurnView,
  work: () => Promise<T>,
): Promise<T> {
  const done = new AbortController();
  const renewed = (async () => {
    await clock.sleep(RENEW_MS, done.signal);
    while (!done.signal.aborted && (await renewTurn(store, turn))) await clock.sleep(RENEW_MS, done.signal);
  })().catch(() => undefined); // without the control store nothing can be written down: another process takes the turn over
  try {
    return await work();
  } finally {
    done.abort();
    await renewed;
  }
}
