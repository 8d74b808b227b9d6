import { ANALYSES } from '../analysis/analysis-registry.ts';
import { makeAnalysisUseCases } from '../analysis/analysis-use-cases.ts';
import type { Replica } from '../analysis/read-replicas.ts';
import { makeArchiveUseCases } from '../archive/archive-use-cases.ts';
import { type ConnectDeps, openSession } from '../databases/connect.ts';
import { makeDatabases } from '../databases/database-use-cases.ts';
import { makeRunUseCases } from '../engine/run-use-cases.ts';
import type { UseCases } from '../graphql/context.ts';
import { makeCheckPlanFresh } from '../planning/check-plan.ts';
import { makePlans } from '../planning/plan-use-cases.ts';
import { makeProtection } from '../planning/protection-use-cases.ts';
import { makeAudit } from '../store/audit.ts';
import { findDatabaseById } from '../store/databases.ts';
import { readMaintenanceStop } from '../store/maintenance-stop.ts';
import { findPlan, type PlanView } from '../store/plans.ts';
import type { SessionSettings } from '../target/session.ts';
import { loadPlan } from './load-plan.ts';
import type { Parts } from './parts.ts';

/** Everything that the API can do, each with what it needs and no more. */
export function makeUseCases(parts: Parts): UseCases {
  const { store, connectDeps } = parts;
  const planning = { ...parts, fileStores: new Set(parts.fileStores.keys()) };
  const analysis = makeAnalysisUseCases({ ...parts, analyses: ANALYSES, replicas: replicasBy(connectDeps) });
  return {
    analysis,
    databases: makeDatabases({ ...connectDeps, takeFirstSnapshot: analysis.takeFirstSnapshot }),
    plans: makePlans(planning),
    protection: makeProtection(planning),
    runs: makeRunUseCases<PlanView>({
      ...parts,
      findPlan: (id) => findPlan(store, id),
      checkFresh: makeCheckPlanFresh(planning),
      loadPlan: loadPlan(store),
      maintenanceStop: () => readMaintenanceStop(store),
    }),
    archives: makeArchiveUseCases(parts),
    audit: makeAudit(store),
  };
}

/** The copies are reached as their database is: same login, same checks. */
const replicasBy =
  (deps: ConnectDeps) =>
  async (databaseId: string, settings: SessionSettings): Promise<Replica[]> => {
    const database = await findDatabaseById(deps.store, databaseId);
    return (database?.replicas ?? []).map((replica) => ({
      name: `${replica.host}:${replica.port}`,
      open: () => openSession(deps, { ...(database as NonNullable<typeof database>), ...replica }, settings),
    }));
  };
