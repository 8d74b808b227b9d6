import { batched } from '../batched.ts';
import type { Principal } from '../domain/principal.ts';
import { checkedReason, requiredReason } from '../domain/reason.ts';
import type { PlanState } from '../domain/words.ts';
import type { Page, PageRequest } from '../store/page.ts';
import { findPlans, listPlans, type PlanView } from '../store/plans.ts';
import { approvePlan, rejectPlan } from './decide-plan.ts';
import type { Replicas } from './judge-index.ts';
import { planArchiveExpiry, requireArchive } from './plan-archive-expiry.ts';
import { type PlanContext, type PlanningDeps, withPlanContext } from './plan-context.ts';
import { planDeletion } from './plan-deletion.ts';
import { planDeduplication } from './plan-deduplication.ts';
import type {
  PlanArchiveInput,
  PlanDeduplicationInput,
  PlanIndexCreationInput,
  PlanIndexRemovalInput,
  PlanOrphanRemovalInput,
  PlanPurgeInput,
  PlanReindexInput,
  PlanReorganizationInput,
  PlanRestoreInput,
} from '../domain/plan-inputs.ts';
import { planIndexCreation } from './plan-index-creation.ts';
import { planIndexRemoval } from './plan-index-removal.ts';
import { planIndexRestore, removalOf } from './plan-index-restore.ts';
import { planOrphanRemoval } from './plan-orphan-removal.ts';
import { planReindex } from './plan-reindex.ts';
import { planReorganization } from './plan-reorganization.ts';
import { archiveOf, planRestore } from './plan-restore.ts';
import { type Draft, savePlan } from './save-plan.ts';

export interface PlanQuery extends PageRequest {
  readonly database?: string | null;
  readonly states?: readonly PlanState[] | null;
}

/** Dry runs: each looks at the database, writes down exactly what would be done, and changes nothing there. */
export function makePlans(deps: PlanningDeps & { readonly replicas: Replicas }) {
  const plan = (
    input: { readonly database: string; readonly reason?: string | null | undefined },
    by: Principal,
    draft: (context: PlanContext) => Promise<Draft>,
  ): Promise<PlanView> => {
    const reason = checkedReason(input.reason);
    return withPlanContext(deps, input.database, async (context) =>
      savePlan(context, await draft(context), { reason, by }),
    );
  };
  const find = batched((ids: readonly string[]) => findPlans(deps.store, ids, deps.clock.now()));
  return {
    purge: async (input: PlanPurgeInput, by: Principal) =>
      plan(input, by, (context) => planDeletion(context, input, null)),
    archive: async (input: PlanArchiveInput, by: Principal) =>
      plan(input, by, (context) => planDeletion(context, input, input.destination)),
    orphanRemoval: async (input: PlanOrphanRemovalInput, by: Principal) =>
      plan(input, by, (context) => planOrphanRemoval(context, input)),
    deduplication: async (input: PlanDeduplicationInput, by: Principal) =>
      plan(input, by, (context) => planDeduplication(context, input)),
    reindex: async (input: PlanReindexInput, by: Principal) =>
      plan(input, by, (context) => planReindex(context, input)),
    indexCreation: async (input: PlanIndexCreationInput, by: Principal) =>
      plan(input, by, (context) => planIndexCreation(context, input)),
    indexRemoval: async (input: PlanIndexRemovalInput, by: Principal) =>
      plan(input, by, (context) => planIndexRemoval(context, input, deps.replicas)),
    reorganization: async (input: PlanReorganizationInput, by: Principal) =>
      plan(input, by, (context) => planReorganization(context, input)),
    restore: async (input: PlanRestoreInput, by: Principal) => {
      const removal = await removalOf(deps.store, input);
      if (removal !== null) {
        return plan({ database: removal.databaseName, reason: input.reason }, by, (context) =>
          planIndexRestore(context, removal),
        );
      }
      const archive = await archiveOf(deps.store, input);
      return plan({ database: archive.databaseName, reason: input.reason }, by, (context) =>
        planRestore(context, archive, input),
      );
    },
    archiveExpiry: async (archiveId: string, reason: string, by: Principal) => {
      const archive = await requireArchive(deps.store, archiveId);
      return plan({ database: archive.databaseName, reason: requiredReason(reason) }, by, (context) =>
        planArchiveExpiry(context, archive),
      );
    },
    find: (id: string): Promise<PlanView | null> => find(id, null),
    list: async (query: PlanQuery): Promise<Page<PlanView>> => listPlans(deps.store, query, deps.clock.now()),
    approve: (id: string, hash: string, comment: string | null, by: Principal) =>
      approvePlan(deps, id, hash, comment, by),
    reject: (id: string, comment: string | null, by: Principal) => rejectPlan(deps, id, comment, by),
  };
}
