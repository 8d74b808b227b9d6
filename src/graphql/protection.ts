import { GraphQLDateTime } from 'graphql-scalars';
import { Arg, Ctx, Field, ID, InputType, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import type { ApiContext } from './context.ts';
import { idOf } from './ids.ts';
import { RowFilterInput } from './plan-inputs.ts';
import type { HoldInput as HoldWish } from '../domain/plan-inputs.ts';
import type { HoldView, MaintenanceStopView } from './views.ts';

@ObjectType({ description: 'Rows or tables that nothing may delete until it is released.' })
export class Hold {
  @Field(() => ID, { description: 'Its id.' })
  id!: string;

  @Field(() => String, { description: 'The name of the database.' })
  database!: string;

  @Field(() => String, { description: 'The schema.' })
  schema!: string;

  @Field(() => String, { description: 'The table.' })
  table!: string;

  @Field(() => String, { description: 'Why it was placed.' })
  reason!: string;

  @Field(() => String, { description: 'Who placed it.' })
  placedBy!: string;

  @Field(() => GraphQLDateTime, { description: 'When it was placed.' })
  placedAt!: Date;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'When it was released; null while it is in force.',
  })
  releasedAt!: Date | null;
}

@ObjectType({
  description: 'The stop switch: while on, no run starts and running ones pause after their batch.',
})
export class MaintenanceStop {
  @Field(() => Boolean, { description: 'Whether it is on.' })
  on!: boolean;

  @Field(() => String, { nullable: true, description: 'Why it was last set.' })
  reason!: string | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was last set.' })
  since!: Date | null;

  @Field(() => String, { nullable: true, description: 'Who set it.' })
  by!: string | null;
}

@InputType({ description: 'What nothing may delete.' })
export class HoldInput implements HoldWish {
  @Field(() => String, { description: 'The name of the database.' })
  database!: string;

  @Field(() => String, { defaultValue: 'public', description: 'The schema.' })
  schema!: string;

  @Field(() => String, { description: 'The table.' })
  table!: string;

  @Field(() => RowFilterInput, {
    nullable: true,
    description: 'Only these rows; the whole table when not given.',
  })
  where?: RowFilterInput | null;

  @Field(() => String, { description: 'Why.' })
  reason!: string;
}

const reasonArg = { description: 'Why.' };

@Resolver()
export class ProtectionResolver {
  @Query(() => [Hold], { description: 'Holds, newest first, the released ones too.' })
  holds(
    @Arg('database', () => String, { nullable: true, description: 'Only of this database.' })
    database: string | null | undefined,
    @Ctx() { useCases }: ApiContext,
  ): Promise<readonly HoldView[]> {
    return useCases.protection.holds(database);
  }

  @Query(() => MaintenanceStop, { description: 'Whether the stop switch is on.' })
  maintenanceStop(@Ctx() { useCases }: ApiContext): Promise<MaintenanceStopView> {
    return useCases.protection.maintenanceStop();
  }

  @Mutation(() => Hold, {
    description: 'Keeps rows or a table from being deleted until the hold is released.',
  })
  placeHold(
    @Arg('input', () => HoldInput, { description: 'What to keep.' }) input: HoldInput,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<HoldView> {
    return useCases.protection.placeHold(input, principal);
  }

  @Mutation(() => Hold, { description: 'Ends a hold.' })
  releaseHold(
    @Arg('id', () => ID, { description: 'The hold.' }) id: string,
    @Arg('reason', () => String, reasonArg) reason: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<HoldView> {
    return useCases.protection.releaseHold(idOf('The hold', id), reason, principal);
  }

  @Mutation(() => MaintenanceStop, {
    description: 'The stop switch: while on, no run starts and running ones pause after their batch.',
  })
  setMaintenanceStop(
    @Arg('on', () => Boolean, { description: 'On or off.' }) on: boolean,
    @Arg('reason', () => String, reasonArg) reason: string,
    @Ctx() { useCases, principal }: ApiContext,
  ): Promise<MaintenanceStopView> {
    return useCases.protection.setMaintenanceStop(on, reason, principal);
  }
}
