import { GraphQLDateTime, GraphQLJSON, GraphQLSafeInt } from 'graphql-scalars';
import {
  Arg,
  Ctx,
  Field,
  FieldResolver,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import { MissedTicks, PlanKind, PolicyOutcome } from '../domain/words.ts';
import type { ApiContext } from './context.ts';
import { Plan } from './plan.ts';
import { PolicyInput } from './policy-input.ts';
import { Run } from './run.ts';
import type { PlanView, PolicyRunView, PolicyTurnView, PolicyView, RunView } from './views.ts';

@ObjectType({ description: "A time of day, in the policy's time zone." })
export class PolicyWindow {
  @Field(() => String, { description: 'From this time of day on.' })
  from!: string;

  @Field(() => String, { description: 'Until this time of day; past midnight when it is the earlier one.' })
  to!: string;
}

@ObjectType({ description: 'A saved intention, run by hand or on a schedule.' })
export class Policy {
  @Field(() => String, { description: 'Its name.' })
  name!: string;

  @Field(() => Boolean, { description: 'Nobody and nothing runs one that is not.' })
  enabled!: boolean;

  @Field(() => PlanKind, { description: 'The kind of the plans that it makes.' })
  kind!: PlanKind;

  @Field(() => GraphQLJSON, { description: 'The input of the plans that it makes, as it was saved.' })
  input!: unknown;

  @Field(() => String, { nullable: true, description: 'cron, five fields; null: by hand only.' })
  schedule!: string | null;

  @Field(() => String, { description: 'The time zone of schedule and window.' })
  timeZone!: string;

  @Field(() => PolicyWindow, { nullable: true, description: 'The time of day for it; null: always.' })
  window!: PolicyWindow | null;

  @Field(() => MissedTicks, { description: 'What becomes of ticks that no worker was there for.' })
  missed!: MissedTicks;

  @Field(() => Int, { description: 'Each tick is put off by up to so many seconds.' })
  jitterSeconds!: number;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Runs larger than this wait for approval.' })
  autoStartMaxRows!: number | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When it runs next; null when it is by hand only, or not enabled.',
  })
  nextRunAt!: Date | null;

  @Field(() => String, {
    description: 'Who saved it; its plans are made in that name, which nobody approves.',
  })
  savedBy!: string;

  @Field(() => GraphQLDateTime, { description: 'When it was saved.' })
  savedAt!: Date;
}

@ObjectType({ description: 'What came of a policy that was due, or that somebody ran.' })
export class PolicyResult {
  @Field(() => GraphQLDateTime, { nullable: true, description: 'The tick; null: somebody ran it.' })
  tickAt!: Date | null;

  @Field(() => String, { description: 'In whose name.' })
  requestedBy!: string;

  @Field(() => GraphQLDateTime, { description: 'When it was taken up.' })
  createdAt!: Date;

  @Field(() => PolicyOutcome, { description: 'What came of it.' })
  outcome!: PolicyOutcome;

  @Field(() => String, { nullable: true, description: 'Why there is no run, in words.' })
  detail!: string | null;
}

@ObjectType({ description: 'What came of runPolicy.' })
export class PolicyRun {
  @Field(() => Plan, { description: 'The plan that was made.' })
  plan!: PlanView;

  @Field(() => Run, {
    nullable: true,
    description: 'Its run; null when the plan has blockers, or waits for approval.',
  })
  run!: RunView | null;
}

const nameArg = { description: 'The policy.' };

@Resolver(() => Policy)
export class PolicyResolver {
  @Query(() => Policy, { nullable: true, description: 'One policy.' })
  policy(
    @Arg('name', () => String, nameArg) name: string,
    @Ctx() { useCases }: ApiContext,
  ): Promise<PolicyView | null> {
    return useCases.policies.find(name);
  }

  @Query(() => [Policy], { description: 'All policies, by name.' })
  policies(@Ctx() { useCases }: ApiContext): Promise<readonly PolicyView[]> {
    return useCases.policies.list();
  }

  @Mutation(() => Policy, { description: 'Saves an intention, in the place of the one with that name.' })
  savePolicy(
    @Arg('input', () => PolicyInput, { description: 'What to do, and when.' }) input: PolicyInput,
    @Arg('dryRun', () => Boolean, {
      defaultValue: false,
      description: 'Checks it, and says what would be saved; changes nothing.',
    })
    dryRun: boolean,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PolicyView> {
    return useCases.policies.save(input, dryRun, principal);
  }

  @Mutation(() => Boolean, {
    description:
      'Ends a policy. Its plans and runs stay; those that wait for approval no longer start by themselves.',
  })
  deletePolicy(
    @Arg('name', () => String, nameArg) name: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<boolean> {
    return useCases.policies.remove(name, principal);
  }

  @Mutation(() => PolicyRun, {
    description:
      'One call for automation: plans, starts when the policy allows it without approval, and waits up to waitMs.',
  })
  runPolicy(
    @Arg('name', () => String, nameArg) name: string,
    @Arg('idempotencyKey', () => String, { description: 'The same key gives the same plan and run.' })
    idempotencyKey: string,
    @Arg('waitMs', () => Int, { defaultValue: 0, description: 'At most 25 000.' }) waitMs: number,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<PolicyRunView> {
    return useCases.policies.run(name, idempotencyKey, waitMs, principal);
  }

  @FieldResolver(() => Run, { nullable: true, description: 'Its last run; null: there was none.' })
  lastRun(
    @Root() { lastRunId }: PolicyView,
    @Ctx() { useCases }: ApiContext,
  ): Promise<RunView | null> | null {
    return lastRunId === null ? null : useCases.policies.findRun(lastRunId);
  }

  @FieldResolver(() => PolicyResult, {
    nullable: true,
    description: 'What last came of it; null: nothing yet.',
  })
  lastResult(@Root() { name }: PolicyView, @Ctx() { useCases }: ApiContext): Promise<PolicyTurnView | null> {
    return useCases.policies.lastResult(name);
  }
}

@Resolver(() => PolicyResult)
export class PolicyResultResolver {
  @FieldResolver(() => Plan, { nullable: true, description: 'Its plan; null when none was made.' })
  plan(@Root() { planId }: PolicyTurnView, @Ctx() { loaders }: ApiContext): Promise<PlanView | null> | null {
    return planId === null ? null : loaders.plan(planId);
  }

  @FieldResolver(() => Run, { nullable: true, description: 'Its run; null when none was started.' })
  run(@Root() { runId }: PolicyTurnView, @Ctx() { useCases }: ApiContext): Promise<RunView | null> | null {
    return runId === null ? null : useCases.policies.findRun(runId);
  }
}
