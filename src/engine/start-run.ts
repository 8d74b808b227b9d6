import { createHash } from 'node:crypto';
import type { PlanSpec } from '../domain/plan.ts';
import type { Principal } from '../domain/principal.ts';
import type { PlanState } from '../domain/words.ts';
import type { Clock } from '../clock.ts';
import { badInput, DeclutterError, notFound } from '../errors.ts';
import type { Store } from '../store/open-store.ts';
import type { Queue } from '../store/queue.ts';
import { createRun, findIdempotencyKey, findRunByPlan, requireRun, type RunView } from '../store/runs.ts';

export interface StartablePlan {
  readonly id: string;
  readonly databaseId: string;
  readonly state: PlanState;
  readonly hash: string;
  readonly expiresAt: Date;
  readonly spec: PlanSpec;
  readonly forecast: { readonly blockers: readonly { readonly code: string; readonly message: string }[] };
}

export interface StartDeps<Plan extends StartablePlan> {
  readonly store: Store;
  readonly queue: Pick<Queue, 'nudge'>;
  readonly clock: Clock;
  readonly findPlan: (id: string) => Promise<Plan | null>;
  /** Looks at the database again. @throws PRECONDITION_FAILED naming the fact that has changed */
  readonly checkFresh: (plan: Plan) => Promise<void>;
  readonly maintenanceStop: () => Promise<{ readonly on: boolean; readonly reason: string | null }>;
}

const MAX_KEY = 255;

/**
 * Starts exactly the plan with this hash, or refuses and says which fact has changed. The same key and plan give the same run,
 * however often and at how many places at once it is asked for.
 */
export function makeStartRun<Plan extends StartablePlan>(deps: StartDeps<Plan>) {
  const { store, queue } = deps;
  return async (
    planId: string,
    planHash: string,
    idempotencyKey: string,
    by: Principal,
  ): Promise<RunView> => {
    if (idempotencyKey.trim() === '' || idempotencyKey.length > MAX_KEY) {
      throw badInput(`idempotencyKey must have 1 to ${MAX_KEY} characters.`);
    }
    const idempotency = {
      principal: by.subject,
      key: idempotencyKey,
      request: digest(`${planId}\n${planHash}`),
    };
    const earlier = await runOfKey(store, idempotency);
    if (earlier) return earlier;
    const plan = await deps.findPlan(planId);
    if (!plan) throw notFound('The plan');
    try {
      await refuseUnlessStartable(deps, plan, planHash);
      await deps.checkFresh(plan);
      const id = await createRun(store, {
        planId,
        databaseId: plan.databaseId,
        startedBy: by.subject,
        spec: plan.spec,
        idempotency,
      });
      await queue.nudge(id);
      return await requireRun(store, id);
    } catch (error) {
      // The same request, sent twice at once: whichever came first has made the run.
      const winner = await runOfKey(store, idempotency);
      if (winner) return winner;
      throw error;
    }
  };
}

async function runOfKey(
  store: Store,
  key: { principal: string; key: string; request: string },
): Promise<RunView | null> {
  const known = await findIdempotencyKey(store, key.principal, key.key);
  if (!known) return null;
  if (known.request === key.request) return requireRun(store, known.runId);
  throw new DeclutterError(
    'IDEMPOTENCY_KEY_REUSED',
    'This idempotencyKey was used for another plan. Take a new one for each run.',
  );
}

async function refuseUnlessStartable<Plan extends StartablePlan>(
  deps: StartDeps<Plan>,
  plan: Plan,
  hash: string,
): Promise<void> {
  if (plan.hash !== hash) {
    throw new DeclutterError(
      'PRECONDITION_FAILED',
      'The plan has another hash than the one you have seen. Look at it again.',
    );
  }
  if (plan.state === 'STARTED') {
    const run = await findRunByPlan(deps.store, plan.id);
    throw new DeclutterError('CONFLICT', 'The plan has been started already; a plan runs once.', {
      runId: run?.id ?? null,
    });
  }
  refuseByState(plan);
  if (plan.expiresAt <= deps.clock.now()) {
    throw new DeclutterError('PRECONDITION_FAILED', 'The plan has expired. Make a new one.');
  }
  const stop = await deps.maintenanceStop();
  if (stop.on) {
    throw new DeclutterError(
      'PRECONDITION_FAILED',
      `The maintenance stop is on (${stop.reason ?? 'no reason given'}); no run starts.`,
    );
  }
}

function refuseByState({ state, forecast }: StartablePlan): void {
  if (state === 'READY' || state === 'APPROVED') return;
  if (state === 'NEEDS_APPROVAL') {
    throw new DeclutterError(
      'APPROVAL_REQUIRED',
      'This plan needs the approval of somebody else before it can run (approvePlan).',
    );
  }
  if (state === 'BLOCKED') {
    const codes = forecast.blockers.map(({ code }) => code);
    throw new DeclutterError(
      'UNSAFE_OPERATION',
      `The plan is blocked: ${codes.join(', ')}. Its blockers say what to do.`,
      { blockers: codes },
    );
  }
  throw new DeclutterError('PRECONDITION_FAILED', `The plan is ${state}. Make a new one.`);
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex');
