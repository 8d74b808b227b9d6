import { makeStartRun } from '../engine/start-run.ts';
import { makeCheckPlanFresh } from '../planning/check-plan.ts';
import { makePlans } from '../planning/plan-use-cases.ts';
import type { CarryOutDeps } from '../schedule/carry-out.ts';
import type { MakePlan } from '../schedule/policy-plans.ts';
import { readMaintenanceStop } from '../store/maintenance-stop.ts';
import { findPlan, type PlanView } from '../store/plans.ts';
import { replicasBy } from './analysis-deps.ts';
import type { Parts } from './parts.ts';

/** A policy's input is that of the plan of the same name: savePolicy has checked its shape. */
export const makePlanBy =
  (plans: ReturnType<typeof makePlans>): MakePlan =>
  (field, input, by) =>
    plans[field](input as never, by);

/** How a worker plans and starts what is due. */
export function makePolicyWork(parts: Parts): Pick<CarryOutDeps, 'plan' | 'start'> {
  const { store, connectDeps } = parts;
  return {
    plan: makePlanBy(makePlans({ ...parts, replicas: replicasBy(connectDeps) })),
    start: makeStartRun<PlanView>({
      ...parts,
      findPlan: (id) => findPlan(store, id),
      checkFresh: makeCheckPlanFresh(parts),
      maintenanceStop: () => readMaintenanceStop(store),
    }),
  };
}
