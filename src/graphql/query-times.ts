import { GraphQLSafeInt } from 'graphql-scalars';
import { Ctx, Field, FieldResolver, Float, ObjectType, Resolver, Root } from 'type-graphql';
import type { ApiContext } from './context.ts';
import { Run } from './run.ts';
import type { QueryTimeView, RunView } from './views.ts';

@ObjectType({ description: 'How long a statement took on average before a run, and since its end.' })
export class QueryTime {
  @Field(() => String, { description: 'The statement, without its constants.' })
  query!: string;

  @Field(() => GraphQLSafeInt, { description: 'How often it was called before, as far as was counted.' })
  callsBefore!: number;

  @Field(() => Float, { description: 'Milliseconds a call then.' })
  meanMsBefore!: number;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'How often it was called since; null when not known.',
  })
  callsAfter!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: 'Milliseconds a call since; null when not known, or not called yet.',
  })
  meanMsAfter!: number | null;
}

@Resolver(() => Run)
export class QueryTimesResolver {
  @FieldResolver(() => [QueryTime], {
    description:
      'Of runs that put a table in order: the statements that name it and took most time, as pg_stat_statements has counted them. Asked now: OPERATOR. Empty without the extension.',
  })
  queryTimes(@Root() run: RunView, @Ctx() { useCases }: ApiContext): Promise<readonly QueryTimeView[]> {
    return useCases.runs.queryTimes(run);
  }
}
