import { GraphQLDateTime, GraphQLJSON } from 'graphql-scalars';
import { Args, Ctx, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { type Connection, connectionType, PageArgs, plainConnection } from './connection.ts';
import type { ApiContext } from './context.ts';
import type { AuditEventView } from './views.ts';

@ObjectType({
  description: 'Something that was done, or tried and refused. Each event is chained to the one before it.',
})
export class AuditEvent {
  @Field(() => Int, { description: 'Its place in the chain.' })
  sequence!: number;

  @Field(() => GraphQLDateTime, { description: 'When.' })
  at!: Date;

  @Field(() => String, { description: 'Who.' })
  actor!: string;

  @Field(() => String, { description: 'What: the name of the mutation.' })
  action!: string;

  @Field(() => String, { description: 'To what.' })
  subject!: string;

  @Field(() => String, { description: 'STARTED, SUCCEEDED, or the code of the refusal.' })
  outcome!: string;

  @Field(() => GraphQLJSON, {
    description: 'The arguments without secrets, and where the request came from.',
  })
  detail!: unknown;

  @Field(() => String, { description: 'SHA-256 over the hash of the event before it and this event.' })
  hash!: string;
}

const AuditEventConnection = connectionType('AuditEvent', () => AuditEvent);

@Resolver()
export class AuditResolver {
  @Query(() => AuditEventConnection, { description: 'The audit chain, newest first: ADMIN.' })
  async auditEvents(
    @Args(() => PageArgs) page: PageArgs,
    @Ctx() { useCases }: ApiContext,
  ): Promise<Connection<AuditEventView>> {
    return plainConnection(await useCases.audit.list(page));
  }
}
