import { makeAnalysisUseCases } from '../analysis/analysis-use-cases.ts';
import { makeArchiveUseCases } from '../archive/archive-use-cases.ts';
import { makeDatabases } from '../databases/database-use-cases.ts';
import { makeRunUseCases } from '../engine/run-use-cases.ts';
import type { UseCases } from '../graphql/context.ts';
import { makeCheckPlanFresh } from '../planning/check-plan.ts';
import { makePlans } from '../planning/plan-use-cases.ts';
import { makeProtection } from '../planning/protection-use-cases.ts';
import { makePolicies } from '../schedule/policy-use-cases.ts';
import { makeAudit } from '../store/audit.ts';
import { readMaintenanceStop } from '../store/maintenance-stop.ts';
import { findPlan, type PlanView } from '../store/plans.ts';
import { analysisDeps, replicasBy } from './analysis-deps.ts';
import { loadPlan } from './load-plan.ts';
import type { Parts } from './parts.ts';
import { makePlanBy } from './policy-work.ts';

/** Everything that the API can do, each with what it needs and no more. */
export function makeUseCases(parts: Parts): UseCases {
  const { store, connectDeps } = parts;
  const analysis = makeAnalysisUseCases(analysisDeps(parts));
  const plans = makePlans({ ...parts, replicas: replicasBy(connectDeps) });
  const runs = makeRunUseCases<PlanView>({
    ...parts,
    findPlan: (id) => findPlan(store, id),
    checkFresh: makeCheckPlanFresh(parts),
    loadPlan: loadPlan(store),
    maintenanceStop: () => readMaintenanceStop(store),
  });
  return {
    analysis,
    databases: makeDatabases({ ...connectDeps, takeFirstSnapshot: analysis.takeSnapshot }),
    plans,
    runs,
    policies: makePolicies({ ...parts, plan: makePlanBy(plans), start: runs.start, wait: runs.wait }),
    protection: makeProtection(parts),
    archives: makeArchiveUseCases(parts),
    audit: makeAudit(store),
  };
}
