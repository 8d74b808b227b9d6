import { GraphQLDateTime, GraphQLSafeInt } from 'graphql-scalars';
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
import type { RunResult as Result } from '../domain/run.ts';
import { RunState } from '../domain/words.ts';
import { notFound } from '../errors.ts';
import { Archive } from './archive.ts';
import { type Connection, connectionType, PageArgs, plainConnection } from './connection.ts';
import type { ApiContext } from './context.ts';
import { idOf, isId } from './ids.ts';
import { Plan } from './plan.ts';
import { RunEventConnection, RunProgress, RunResult, RunThrottle } from './run-parts.ts';
import type {
  ArchiveView,
  PlanView,
  RunEventView,
  RunProgressView,
  RunThrottleView,
  RunView,
} from './views.ts';

@ObjectType({ description: 'The execution of one plan.' })
export class Run {
  @Field(() => ID, { description: 'Its id.' })
  id!: string;

  @Field(() => RunState, { description: 'Where it is.' })
  state!: RunState;

  @Field(() => String, {
    nullable: true,
    description:
      'Why it waits, paused or failed, as a stable word: LOCKED, SCHEMA_DRIFT, HOLD, UNREACHABLE ... (docs/errors.md)',
  })
  stateCode!: string | null;

  @Field(() => String, { nullable: true, description: 'The same in words, with the next step.' })
  stateReason!: string | null;

  @Field(() => RunProgress, { description: 'How far it is.' })
  progress!: RunProgressView;

  @Field(() => RunThrottle, { description: 'How it makes room, and why it rests.' })
  throttle!: RunThrottleView;

  @Field(() => String, { description: 'Who started it.' })
  startedBy!: string;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When a worker took it up.' })
  startedAt!: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it ended.' })
  endedAt!: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When its worker last gave a sign of life.' })
  heartbeatAt!: Date | null;
}

export const RunConnection = connectionType('Run', () => Run);

@ArgsType()
class RunsArgs extends PageArgs {
  @Field(() => String, { nullable: true, description: 'Only of this database.' })
  database?: string | null;

  @Field(() => [RunState], { nullable: true, description: 'Only in these states.' })
  states?: RunState[] | null;
}

type ResultNode = Result & Pick<RunView, 'planId'>;

const idArg = { description: 'The run.' };

@Resolver(() => Run)
export class RunResolver {
  @Query(() => Run, { nullable: true, description: 'One run.' })
  run(
    @Arg('id', () => ID, idArg) id: string,
    @Ctx() { useCases }: ApiContext,
  ): Promise<RunView | null> | null {
    return isId(id) ? useCases.runs.find(id) : null;
  }

  @Query(() => RunConnection, { description: 'Runs, newest first.' })
  async runs(
    @Args(() => RunsArgs) query: RunsArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<RunView>> {
    return plainConnection(await useCases.runs.list(query));
  }

  @Query(() => Run, {
    description: 'Answers as soon as the run has ended or needs somebody, or after timeoutMs.',
  })
  waitForRun(
    @Arg('id', () => ID, idArg) id: string,
    @Arg('timeoutMs', () => Int, { defaultValue: 20_000, description: 'At most 25 000.' }) timeoutMs: number,
    @Ctx() { useCases }: ApiContext,
  ): Promise<RunView> {
    return useCases.runs.wait(idOf('The run', id), timeoutMs);
  }

  @FieldResolver(() => Plan, { description: 'The plan that it carries out.' })
  async plan(@Root() { planId }: RunView, @Ctx() { loaders }: ApiContext): Promise<PlanView> {
    const plan = await loaders.plan(planId);
    if (!plan) throw notFound('The plan of the run');
    return plan;
  }

  @FieldResolver(() => RunResult, { description: 'What it has done.' })
  result(@Root() { planId, result }: RunView): ResultNode {
    return { ...result, planId };
  }

  @FieldResolver(() => Archive, {
    nullable: true,
    description: 'What it has archived; null when it archives nothing.',
  })
  archive(@Root() { id }: RunView, @Ctx() { useCases }: ApiContext): Promise<ArchiveView | null> {
    return useCases.archives.findByRun(id);
  }

  @FieldResolver(() => RunEventConnection, { description: 'What has happened to it, in order.' })
  async events(
    @Root() { id }: RunView,
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<RunEventView>> {
    return plainConnection(await useCases.runs.events(id, page));
  }
}

/** The forecast of the plan, beside what came of it. */
@Resolver(() => RunResult)
export class RunResultResolver {
  @FieldResolver(() => GraphQLSafeInt, {
    nullable: true,
    description: 'What the plan said of bytesReclaimed; null when it could not know.',
  })
  async bytesReclaimedPredicted(
    @Root() { planId }: ResultNode,
    @Ctx() { loaders }: ApiContext,
  ): Promise<number | null> {
    return (await loaders.plan(planId))?.forecast.impact.bytesReclaimed ?? null;
  }

  @FieldResolver(() => GraphQLSafeInt, {
    nullable: true,
    description: 'What the plan said of bytesReusable; null when it could not know.',
  })
  async bytesReusablePredicted(
    @Root() { planId }: ResultNode,
    @Ctx() { loaders }: ApiContext,
  ): Promise<number | null> {
    return (await loaders.plan(planId))?.forecast.impact.bytesReusable ?? null;
  }
}

/** Plan.run stands here, since a plan knows nothing of runs. */
@Resolver(() => Plan)
export class PlanRunResolver {
  @FieldResolver(() => Run, { nullable: true, description: 'Its run; null until it is started.' })
  run(@Root() { id }: PlanView, @Ctx() { useCases }: ApiContext): Promise<RunView | null> {
    return useCases.runs.findByPlan(id);
  }
}
