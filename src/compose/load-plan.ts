import { notFound } from '../errors.ts';
import type { Store } from '../store/open-store.ts';
import { findPlan, type PlanView } from '../store/plans.ts';

/** The plan of a run, which is never removed before its run. */
export const loadPlan =
  (store: Store) =>
  async (planId: string): Promise<PlanView> => {
    const plan = await findPlan(store, planId);
    if (plan === null) throw notFound('The plan');
    return plan;
  };
