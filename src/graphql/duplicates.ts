import { GraphQLSafeInt } from 'graphql-scalars';
import { Arg, Ctx, Field, FieldResolver, InputType, ObjectType, Resolver, Root } from 'type-graphql';
import { DuplicateMethod } from '../domain/words.ts';
import type { ApiContext } from './context.ts';
import type * as inputs from '../domain/plan-inputs.ts';
import { Table, type TableNode } from './table.ts';
import type { DuplicateCountView } from './views.ts';

@InputType({ description: 'A column of a key, and which differences between its values do not count.' })
export class DuplicateKeyInput implements inputs.DuplicateKeyInput {
  @Field(() => String, { description: 'The column.' })
  column!: string;

  @Field(() => Boolean, { defaultValue: false, description: 'Ann and ann are the same.' })
  ignoreCase!: boolean;

  @Field(() => Boolean, { defaultValue: false, description: 'Spaces before and after do not count.' })
  trim!: boolean;
}

@ObjectType({
  description:
    'How many rows repeat another in a key. Rows with NULL in the key repeat none. No value of a row is shown.',
})
export class DuplicateCount {
  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description:
      'Rows beyond the first of each key: of the whole table by COUNT and LOOK_UP, at least so many by SAMPLE; null when not known.',
  })
  rows!: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'Keys that come more than once, among the rows that were looked at.',
  })
  keys!: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'How often the most frequent of them comes, as far as it was seen.',
  })
  largest!: number | null;

  @Field(() => GraphQLSafeInt, { description: 'Rows that were looked at and have a whole key.' })
  rowsLookedAt!: number;

  @Field(() => DuplicateMethod, { description: 'How the figures were come by.' })
  method!: DuplicateMethod;

  @Field(() => String, { description: 'The same in words, and why it was not counted, if it was not.' })
  detail!: string;
}

@Resolver(() => Table)
export class DuplicatesResolver {
  @FieldResolver(() => DuplicateCount, {
    description: 'How many rows repeat another in the key: by a sample, or counted. Asked now: OPERATOR.',
  })
  duplicates(
    @Root() { database, schema, name }: TableNode,
    @Arg('key', () => [DuplicateKeyInput], { description: 'The columns that together should be unique.' })
    key: DuplicateKeyInput[],
    @Arg('exact', () => Boolean, {
      defaultValue: false,
      description: 'Read the whole table, within a budget, instead of a sample.',
    })
    exact: boolean,
    @Ctx() { useCases }: ApiContext,
  ): Promise<DuplicateCountView> {
    return useCases.analysis.tableDuplicates(database.name, { schema, table: name, key, exact });
  }
}
