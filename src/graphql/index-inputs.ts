import { Field, InputType } from 'type-graphql';
import type * as inputs from '../domain/plan-inputs.ts';
import { PlanTableInput } from './plan-inputs.ts';

@InputType({ description: 'Indexes to build anew, concurrently.' })
export class PlanReindexInput extends PlanTableInput implements inputs.PlanReindexInput {
  @Field(() => [String], {
    nullable: true,
    description: 'Only these indexes of the table; all when not given.',
  })
  indexes?: string[] | null;

  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Also has the extension amcheck look for every row of the table in each new B-tree.',
  })
  amcheck!: boolean;
}

@InputType({ description: 'An index to build, concurrently: a B-tree on columns of a table.' })
export class PlanIndexCreationInput extends PlanTableInput implements inputs.PlanIndexCreationInput {
  @Field(() => [String], { description: 'Its columns, in order.' })
  columns!: string[];

  @Field(() => String, {
    nullable: true,
    description: 'Its name; made of the names of table and columns when not given.',
  })
  name?: string | null;

  @Field(() => Boolean, { defaultValue: false, description: 'No two rows may have the same values.' })
  unique!: boolean;
}

@InputType({ description: 'An index to take away, concurrently.' })
export class PlanIndexRemovalInput implements inputs.PlanIndexRemovalInput {
  @Field(() => String, { description: 'The name of the database.' })
  database!: string;

  @Field(() => String, { defaultValue: 'public', description: 'The schema of the index.' })
  schema!: string;

  @Field(() => String, { description: 'The index.' })
  index!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Why, for those who approve and those who come later.',
  })
  reason?: string | null;
}
