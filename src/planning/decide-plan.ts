import type { Clock } from '../clock.ts';
import { hasRole, type Principal } from '../domain/principal.ts';
import { checkedReason } from '../domain/reason.ts';
import type { ApprovalDecision } from '../domain/words.ts';
import { DeclutterError } from '../errors.ts';
import type { Store } from '../store/open-store.ts';
import { decidePlan, type PlanView, requirePlan } from '../store/plans.ts';

interface Deps {
  readonly store: Store;
  readonly clock: Clock;
}

/** Somebody else's yes to the plan with this hash. */
export async function approvePlan(
  deps: Deps,
  id: string,
  hash: string,
  comment: string | null,
  by: Principal,
): Promise<PlanView> {
  const plan = await requirePlan(deps.store, id, deps.clock.now());
  refuseUnlessApprover(by);
  if (plan.requestedBy === by.subject) {
    throw new DeclutterError(
      'SELF_APPROVAL_FORBIDDEN',
      'Nobody approves a plan of their own. Ask somebody else with the role APPROVER.',
    );
  }
  if (plan.hash !== hash) {
    throw new DeclutterError(
      'PRECONDITION_FAILED',
      'The plan has another hash than the one you have seen. Look at it again.',
    );
  }
  return decide(deps, plan, 'APPROVED', comment, by);
}

/** Anybody's no is enough; the requester may take a plan back too. */
export async function rejectPlan(
  deps: Deps,
  id: string,
  comment: string | null,
  by: Principal,
): Promise<PlanView> {
  const plan = await requirePlan(deps.store, id, deps.clock.now());
  if (plan.requestedBy !== by.subject) refuseUnlessApprover(by);
  return decide(deps, plan, 'REJECTED', comment, by);
}

function refuseUnlessApprover(by: Principal): void {
  if (!hasRole(by, 'APPROVER'))
    throw new DeclutterError('FORBIDDEN', 'Deciding on plans needs the role APPROVER.');
  if (!by.mayApprove)
    throw new DeclutterError('FORBIDDEN', 'A machine may not decide on plans; a person has to.');
}

const OPEN_STATES = {
  APPROVED: ['NEEDS_APPROVAL'],
  REJECTED: ['NEEDS_APPROVAL', 'APPROVED', 'READY'],
} as const;

async function decide(
  deps: Deps,
  plan: PlanView,
  decision: ApprovalDecision,
  comment: string | null,
  by: Principal,
): Promise<PlanView> {
  const from = OPEN_STATES[decision];
  if (!(from as readonly string[]).includes(plan.state)) {
    const verb = decision === 'APPROVED' ? 'approved' : 'rejected';
    throw new DeclutterError('CONFLICT', `The plan is ${plan.state}; it cannot be ${verb} now.`, {
      state: plan.state,
    });
  }
  const at = deps.clock.now();
  await decidePlan(deps.store, plan, { by: by.subject, at, decision, comment: checkedReason(comment) }, from);
  return requirePlan(deps.store, plan.id, at);
}
