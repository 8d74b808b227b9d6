import { Arg, Ctx, ID, Mutation, Resolver } from 'type-graphql';
import type { ApiContext } from './context.ts';
import { PlanDeduplicationInput } from './deduplication-input.ts';
import { idOf } from './ids.ts';
import { PlanIndexCreationInput, PlanIndexRemovalInput, PlanReindexInput } from './index-inputs.ts';
import { Plan } from './plan.ts';
import {
  PlanArchiveInput,
  PlanOrphanRemovalInput,
  PlanPurgeInput,
  PlanReorganizationInput,
  PlanRestoreInput,
} from './plan-inputs.ts';
import type { PlanView } from './views.ts';

const inputArg = { description: 'What to plan.' };
const idArg = { description: 'The plan.' };
const commentArg = { nullable: true, description: 'For those who come later.' };

/** Dry runs that change nothing, and what others say to them. */
@Resolver()
export class PlanningResolver {
  @Mutation(() => Plan, { description: 'Plans to delete rows without keeping them.' })
  planPurge(
    @Arg('input', () => PlanPurgeInput, inputArg) input: PlanPurgeInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.purge(input, principal);
  }

  @Mutation(() => Plan, { description: 'Plans to move rows into an archive.' })
  planArchive(
    @Arg('input', () => PlanArchiveInput, inputArg) input: PlanArchiveInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.archive(input, principal);
  }

  @Mutation(() => Plan, { description: 'Plans to remove rows whose reference points at nothing.' })
  planOrphanRemoval(
    @Arg('input', () => PlanOrphanRemovalInput, inputArg) input: PlanOrphanRemovalInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.orphanRemoval(input, principal);
  }

  @Mutation(() => Plan, { description: 'Plans to leave one of the rows with the same key.' })
  planDeduplication(
    @Arg('input', () => PlanDeduplicationInput, inputArg) input: PlanDeduplicationInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.deduplication(input, principal);
  }

  @Mutation(() => Plan, { description: 'Plans to put a table in order.' })
  planReorganization(
    @Arg('input', () => PlanReorganizationInput, inputArg) input: PlanReorganizationInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.reorganization(input, principal);
  }

  @Mutation(() => Plan, { description: 'Plans to build indexes anew, concurrently.' })
  planReindex(
    @Arg('input', () => PlanReindexInput, inputArg) input: PlanReindexInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.reindex(input, principal);
  }

  @Mutation(() => Plan, { description: 'Plans to build an index, concurrently.' })
  planIndexCreation(
    @Arg('input', () => PlanIndexCreationInput, inputArg) input: PlanIndexCreationInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.indexCreation(input, principal);
  }

  @Mutation(() => Plan, {
    description: 'Plans to drop an index that nobody would miss, concurrently. planRestore undoes it.',
  })
  planIndexRemoval(
    @Arg('input', () => PlanIndexRemovalInput, inputArg) input: PlanIndexRemovalInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.indexRemoval(input, principal);
  }

  @Mutation(() => Plan, { description: 'Plans to bring archived rows, or a removed index, back.' })
  planRestore(
    @Arg('input', () => PlanRestoreInput, inputArg) input: PlanRestoreInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    if (input.archiveId != null) idOf('The archive', input.archiveId);
    if (input.runId != null) idOf('The run', input.runId);
    return useCases.plans.restore(input, principal);
  }

  @Mutation(() => Plan, {
    description: 'Plans the end of an archive: its segments are destroyed when the plan is run.',
  })
  planArchiveExpiry(
    @Arg('archiveId', () => ID, { description: 'The archive.' }) archiveId: string,
    @Arg('reason', () => String, { description: 'Why.' }) reason: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.archiveExpiry(idOf('The archive', archiveId), reason, principal);
  }

  @Mutation(() => Plan, { description: 'Says yes to a plan with this hash. Never to a plan of your own.' })
  approvePlan(
    @Arg('id', () => ID, idArg) id: string,
    @Arg('hash', () => String, { description: 'The hash of the plan that you have read.' }) hash: string,
    @Arg('comment', () => String, commentArg) comment: string | null | undefined,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.approve(idOf('The plan', id), hash, comment ?? null, principal);
  }

  @Mutation(() => Plan, { description: 'Says no to a plan; it cannot be started any more.' })
  rejectPlan(
    @Arg('id', () => ID, idArg) id: string,
    @Arg('comment', () => String, commentArg) comment: string | null | undefined,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PlanView> {
    return useCases.plans.reject(idOf('The plan', id), comment ?? null, principal);
  }
}
