import { Arg, Ctx, ID, Int, Mutation, Resolver, Root, Subscription } from 'type-graphql';
import { badInput, notFound } from '../errors.ts';
import type { ApiContext } from './context.ts';
import { idOf } from './ids.ts';
import { ThrottleInput } from './throttle-input.ts';
import { Run } from './run.ts';
import { RunEvent } from './run-parts.ts';
import { untilReturned } from './until-returned.ts';
import type { RunEventView, RunView } from './views.ts';

const idArg = { description: 'The run.' };
const reasonArg = { nullable: true, description: 'Why, for those who come later.' };

interface RunEventsArgs {
  readonly runId: string;
  readonly after?: number | null;
}

async function openEvents(
  { runId, after }: RunEventsArgs,
  { useCases }: ApiContext,
): Promise<AsyncIterable<RunEventView>> {
  if (after != null && after < 0) throw badInput('after must be 0 or more.');
  if (!(await useCases.runs.find(idOf('The run', runId)))) throw notFound(`The run "${runId}"`);
  return untilReturned((signal) => useCases.runs.watch(runId, after ?? null, signal));
}

@Resolver()
export class RunningResolver {
  @Mutation(() => Run, {
    description:
      'Carries out exactly the plan with this hash, or refuses. The same key and plan give the same run.',
  })
  startRun(
    @Arg('planId', () => ID, { description: 'The plan.' }) planId: string,
    @Arg('planHash', () => String, { description: 'The hash of the plan that you have read.' })
    planHash: string,
    @Arg('idempotencyKey', () => String, {
      description: 'A word of your own for this intention, to be able to ask again.',
    })
    idempotencyKey: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<RunView> {
    return useCases.runs.start(idOf('The plan', planId), planHash, idempotencyKey, principal);
  }

  @Mutation(() => Run, { description: 'Asks a run to pause; it does so after its batch.' })
  pauseRun(
    @Arg('id', () => ID, idArg) id: string,
    @Arg('reason', () => String, reasonArg) reason: string | null | undefined,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<RunView> {
    return useCases.runs.pause(idOf('The run', id), reason ?? null, principal);
  }

  @Mutation(() => Run, { description: 'Lets a paused run go on, from where it is.' })
  resumeRun(
    @Arg('id', () => ID, idArg) id: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<RunView> {
    return useCases.runs.resume(idOf('The run', id), principal);
  }

  @Mutation(() => Run, {
    description: 'Asks a run to end after its batch. What is archived stays archived and can be restored.',
  })
  cancelRun(
    @Arg('id', () => ID, idArg) id: string,
    @Arg('reason', () => String, reasonArg) reason: string | null | undefined,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<RunView> {
    return useCases.runs.cancel(idOf('The run', id), reason ?? null, principal);
  }

  @Mutation(() => Run, { description: 'Lets a failed run go on, from where it is.' })
  retryRun(
    @Arg('id', () => ID, idArg) id: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<RunView> {
    return useCases.runs.retry(idOf('The run', id), principal);
  }

  @Mutation(() => Run, { description: 'Makes a run go faster or slower, from its next batch on.' })
  updateThrottle(
    @Arg('runId', () => ID, idArg) runId: string,
    @Arg('throttle', () => ThrottleInput, { description: 'What to change.' }) throttle: ThrottleInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<RunView> {
    return useCases.runs.updateThrottle(idOf('The run', runId), throttle, principal);
  }

  @Subscription(() => RunEvent, {
    description:
      'Every event of a run, resumable: events after the given sequence number are replayed first.',
    subscribe: ({ args, context }) => openEvents(args as RunEventsArgs, context as ApiContext),
  })
  runEvents(
    @Root() event: RunEventView,
    @Arg('runId', () => ID, idArg) _runId: string,
    @Arg('after', () => Int, { nullable: true, description: 'The last sequence number that you have seen.' })
    _after: number | null | undefined,
  ): RunEventView {
    return event;
  }
}
