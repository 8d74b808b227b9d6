import { GraphQLDateTime, GraphQLJSON } from 'graphql-scalars';
import {
  Arg,
  Args,
  ArgsType,
  Ctx,
  Field,
  FieldResolver,
  ID,
  Int,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import type {
  PlanEffect as Effect,
  PlanForecast,
  PlanLock as Lock,
  PlanNotice as Notice,
} from '../domain/plan.ts';
import { PlanKind, PlanState } from '../domain/words.ts';
import { badInput, notFound } from '../errors.ts';
import { type Connection, connectionType, PageArgs, plainConnection } from './connection.ts';
import type { ApiContext } from './context.ts';
import { Database } from './database.ts';
import { exactJson } from './exact-json.ts';
import { isId } from './ids.ts';
import { Approval, PlanEffect, PlanImpact, PlanLock, PlanNotice, PlanStep } from './plan-parts.ts';
import type { ApprovalView, DatabaseView, PlanView } from './views.ts';

@ObjectType({ description: 'A dry run with a hash: what exactly will be done. It has changed nothing.' })
export class Plan {
  @Field(() => ID, { description: 'Its id.' })
  id!: string;

  @Field(() => PlanKind, { description: 'What it would do.' })
  kind!: PlanKind;

  @Field(() => PlanState, { description: 'Whether it can be started.' })
  state!: PlanState;

  @Field(() => String, {
    description: 'Of everything that the run will do; startRun and approvePlan ask for it.',
  })
  hash!: string;

  @Field(() => String, { nullable: true, description: 'The schema of its table.' })
  schema!: string | null;

  @Field(() => String, { nullable: true, description: 'Its table.' })
  table!: string | null;

  @Field(() => String, { nullable: true, description: 'Why it was made.' })
  reason!: string | null;

  @Field(() => String, { description: 'Who made it.' })
  requestedBy!: string;

  @Field(() => GraphQLDateTime, { description: 'When it was made.' })
  createdAt!: Date;

  @Field(() => GraphQLDateTime, { description: 'After this it cannot be started any more.' })
  expiresAt!: Date;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'The literal instant that an age became.' })
  cutoff!: Date | null;

  @Field(() => [Approval], { description: 'What others said to it.' })
  approvals!: readonly ApprovalView[];
}

export const PlanConnection = connectionType('Plan', () => Plan);

@ArgsType()
class PlansArgs extends PageArgs {
  @Field(() => String, { nullable: true, description: 'Only of this database.' })
  database?: string | null;

  @Field(() => [PlanState], { nullable: true, description: 'Only in these states.' })
  states?: PlanState[] | null;
}

@Resolver(() => Plan)
export class PlanResolver {
  @Query(() => Plan, { nullable: true, description: 'One plan.' })
  plan(
    @Arg('id', () => ID, { description: 'The plan.' }) id: string,
    @Ctx() { useCases }: ApiContext,
  ): Promise<PlanView | null> | null {
    return isId(id) ? useCases.plans.find(id) : null;
  }

  @Query(() => PlanConnection, { description: 'Plans, newest first.' })
  async plans(
    @Args(() => PlansArgs) query: PlansArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<PlanView>> {
    return plainConnection(await useCases.plans.list(query));
  }

  @FieldResolver(() => Database, { description: 'Its database.' })
  async database(@Root() { databaseId }: PlanView, @Ctx() { loaders }: ApiContext): Promise<DatabaseView> {
    const database = await loaders.database(databaseId);
    if (!database) throw notFound('The database of the plan');
    return database;
  }

  @FieldResolver(() => PlanImpact, { description: 'How much it would do.' })
  impact(@Root() { forecast }: PlanView): PlanImpact {
    return forecast.impact;
  }

  @FieldResolver(() => [PlanEffect], {
    description:
      'Rows of other tables that would change, exactly: by cascade, SET NULL, SET DEFAULT, trigger; and references nobody declared.',
  })
  effects(@Root() { forecast }: PlanView): readonly Effect[] {
    return forecast.effects;
  }

  @FieldResolver(() => [PlanLock], { description: 'The locks that the run takes.' })
  locks(@Root() { forecast }: PlanView): readonly Lock[] {
    return forecast.locks;
  }

  @FieldResolver(() => [PlanNotice], {
    description: 'What stands in the way. A plan with blockers cannot be started.',
  })
  blockers(@Root() { forecast }: PlanView): readonly Notice[] {
    return forecast.blockers;
  }

  @FieldResolver(() => [PlanNotice], { description: 'What one should know before starting it.' })
  warnings(@Root() { forecast }: PlanView): readonly Notice[] {
    return forecast.warnings;
  }

  @FieldResolver(() => [PlanStep], { description: 'What the run will do, in order.' })
  steps(@Root() { forecast }: PlanView): PlanForecast['steps'] {
    return forecast.steps;
  }

  @FieldResolver(() => [GraphQLJSON], {
    description: 'Some of the rows as they are: OPERATOR. Numbers that a double cannot hold come as strings.',
  })
  sample(
    @Root() { forecast }: PlanView,
    @Arg('first', () => Int, { defaultValue: 5, description: 'How many, from 1 to 100.' }) first: number,
  ): unknown[] {
    if (first < 1 || first > 100) throw badInput('first must be from 1 to 100.');
    return forecast.sample.slice(0, first).map(exactJson);
  }
}
