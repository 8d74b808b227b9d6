import { GraphQLDateTime, GraphQLJSON, GraphQLSafeInt } from 'graphql-scalars';
import { Arg, Args, ArgsType, Ctx, Field, ID, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import type { Remedy as RemedyView } from '../domain/finding.ts';
import { FindingKind, Severity } from '../domain/words.ts';
import { type Connection, connectionType, PageArgs, plainConnection } from './connection.ts';
import type { ApiContext } from './context.ts';
import type { FindingView, SuppressionView } from './views.ts';

@ObjectType({ description: 'The mutation to send next, ready to paste, with its variables.' })
export class Remedy {
  @Field(() => String, { description: 'What it does, in a sentence.' })
  summary!: string;

  @Field(() => String, { description: 'The GraphQL document.' })
  mutation!: string;

  @Field(() => GraphQLJSON, { description: 'The variables of the document.' })
  variables!: unknown;
}

@ObjectType({ description: 'Why a finding is silent.' })
export class Suppression {
  @Field(() => String, { description: 'Who silenced it.' })
  by!: string;

  @Field(() => String, { description: 'Why it is all right.' })
  reason!: string;

  @Field(() => GraphQLDateTime, { description: 'Since when.' })
  at!: Date;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Until when; null: until somebody unsuppresses it.',
  })
  until!: Date | null;
}

@ObjectType({ description: 'One fault, with what proves it and what to do about it.' })
export class Finding {
  @Field(() => ID, { description: 'Stable: the same fault has the same id tomorrow.' })
  id!: string;

  @Field(() => FindingKind, { description: 'The kind of fault.' })
  kind!: FindingKind;

  @Field(() => Severity, { description: 'How much it matters.' })
  severity!: Severity;

  @Field(() => String, { nullable: true, description: 'The schema of the table or index.' })
  schema!: string | null;

  @Field(() => String, { nullable: true, description: 'The table it is about.' })
  table!: string | null;

  @Field(() => String, { nullable: true, description: 'The index it is about.' })
  index!: string | null;

  @Field(() => [String], { description: 'The columns it is about.' })
  columns!: readonly string[];

  @Field(() => String, { description: 'The fault in a few words.' })
  title!: string;

  @Field(() => String, { description: 'The fault, its cause and its consequences.' })
  detail!: string;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'Bytes that the remedy would free; null when not known.',
  })
  wastedBytes!: number | null;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Rows concerned; null when not known.' })
  rows!: number | null;

  @Field(() => GraphQLJSON, { description: 'The figures that the finding rests on.' })
  evidence!: unknown;

  @Field(() => Remedy, { nullable: true, description: 'What to do next; null when nothing can be sent.' })
  remedy!: RemedyView | null;

  @Field(() => Boolean, { description: 'Whether somebody has silenced it.' })
  suppressed!: boolean;

  @Field(() => Suppression, { nullable: true, description: 'By whom and why; null when nobody has.' })
  suppression!: SuppressionView | null;

  @Field(() => GraphQLDateTime, { description: 'When it was first found.' })
  firstSeenAt!: Date;
}

export const FindingConnection = connectionType('Finding', () => Finding);

@ArgsType()
export class FindingArgs extends PageArgs {
  @Field(() => [FindingKind], { nullable: true, description: 'Only these kinds.' })
  kinds?: FindingKind[] | null;

  @Field(() => Severity, { nullable: true, description: 'Only from this severity on.' })
  minSeverity?: Severity | null;
}

@ArgsType()
class FindingsArgs extends FindingArgs {
  @Field(() => String, { description: 'The name of the database.' })
  database!: string;

  @Field(() => Boolean, { defaultValue: false, description: 'Also those that somebody has silenced.' })
  includeSuppressed!: boolean;
}

@Resolver(() => Finding)
export class FindingResolver {
  @Query(() => FindingConnection, { description: 'What the last analysis found, worst first.' })
  async findings(
    @Args(() => FindingsArgs) { database, ...query }: FindingsArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<FindingView>> {
    return plainConnection(await useCases.analysis.findings({ ...query, databaseName: database }));
  }

  @Mutation(() => Finding, { description: 'Silences a finding, with a reason for those who come later.' })
  suppressFinding(
    @Arg('id', () => ID, { description: 'The finding.' }) id: string,
    @Arg('reason', () => String, { description: 'Why it is all right.' }) reason: string,
    @Arg('until', () => GraphQLDateTime, {
      nullable: true,
      description: 'When it may speak again by itself; without it, when somebody unsuppresses it.',
    })
    until: Date | null,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<FindingView> {
    return useCases.analysis.suppress(id, reason, until ?? null, principal);
  }

  @Mutation(() => Finding, { description: 'Lets a silenced finding speak again.' })
  unsuppressFinding(
    @Arg('id', () => ID, { description: 'The finding.' }) id: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<FindingView> {
    return useCases.analysis.unsuppress(id, principal);
  }
}
