import { GraphQLDuration, GraphQLSafeInt } from 'graphql-scalars';
import { Field, Float, ID, InputType, Int } from 'type-graphql';
import type { RowFilterInput as RowFilter } from '../domain/filter.ts';
import {
  ArchiveFormat,
  ArchiveKind,
  DependentRows,
  FilterOp,
  ReorganizationMethod,
  RestoreConflict,
  RestoreInto,
} from '../domain/words.ts';
import type * as inputs from '../domain/plan-inputs.ts';
import type * as limits from '../domain/limits.ts';
import { ThrottleInput } from './throttle-input.ts';

@InputType({ description: 'Exactly one of: all, any, not, or column with op. Never SQL.' })
export class RowFilterInput implements RowFilter {
  @Field(() => [RowFilterInput], { nullable: true, description: 'Every one of these holds.' })
  all?: RowFilterInput[] | null;

  @Field(() => [RowFilterInput], { nullable: true, description: 'At least one of these holds.' })
  any?: RowFilterInput[] | null;

  @Field(() => RowFilterInput, { nullable: true, description: 'This does not hold.' })
  not?: RowFilterInput | null;

  @Field(() => String, { nullable: true, description: 'The column to compare.' })
  column?: string | null;

  @Field(() => FilterOp, { nullable: true, description: 'How to compare it.' })
  op?: FilterOp | null;

  @Field(() => String, {
    nullable: true,
    description: "In text form; cast to the column's type by the server.",
  })
  value?: string | null;

  @Field(() => [String], { nullable: true, description: 'For IN and NOT_IN.' })
  values?: string[] | null;

  @Field(() => GraphQLDuration, {
    nullable: true,
    description: 'For OLDER_THAN, such as P90D; becomes a literal cut-off when the plan is made.',
  })
  age?: string | null;
}

@InputType({ description: 'Bounds that the run may not pass.' })
export class LimitsInput implements limits.LimitsInput {
  @Field(() => GraphQLSafeInt, { nullable: true, description: 'At most so many rows.' })
  maxRows?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "At most this share of the table's rows, 0..1; 0.5 when not given.",
  })
  maxShare?: number | null;

  @Field(() => GraphQLDuration, { nullable: true, description: 'At most so long, such as PT2H.' })
  maxDuration?: string | null;
}

@InputType()
export class PlanTableInput {
  @Field(() => String, { description: 'The name of the database.' })
  database!: string;

  @Field(() => String, { defaultValue: 'public', description: 'The schema.' })
  schema!: string;

  @Field(() => String, { description: 'The table.' })
  table!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Why, for those who approve and those who come later.',
  })
  reason?: string | null;
}

@InputType({ description: 'The newest rows of a table, which are never touched.' })
export class KeepNewestInput implements inputs.KeepNewestInput {
  @Field(() => String, { description: 'The column that tells which are newer.' })
  by!: string;

  @Field(() => Int, { description: 'How many are kept; rows that tie with the last one are kept too.' })
  count!: number;

  @Field(() => [String], { nullable: true, description: 'So many for each value of these columns.' })
  per?: string[] | null;
}

@InputType()
class PlanRowsInput extends PlanTableInput {
  @Field(() => RowFilterInput, { description: 'Which rows.' })
  where!: RowFilterInput;

  @Field(() => KeepNewestInput, { nullable: true, description: 'Never touch the newest rows of the table.' })
  keepNewest?: KeepNewestInput | null;

  @Field(() => DependentRows, {
    defaultValue: DependentRows.REFUSE,
    description:
      'What to do about rows that reference the chosen ones. INCLUDE: treat them too, children first.',
  })
  dependents!: DependentRows;

  @Field(() => Boolean, {
    defaultValue: false,
    description:
      'Also deletes up to 100 of the rows in a transaction that is rolled back, and tells what keys and triggers did in every table. What a trigger does outside of the database is done.',
  })
  trial!: boolean;

  @Field(() => LimitsInput, { nullable: true, description: 'Bounds that the run may not pass.' })
  limits?: LimitsInput | null;

  @Field(() => ThrottleInput, { nullable: true, description: 'How the run makes room for everybody else.' })
  throttle?: ThrottleInput | null;
}

@InputType({ description: 'Rows to delete without keeping them.' })
export class PlanPurgeInput extends PlanRowsInput implements inputs.PlanPurgeInput {}

@InputType({
  description:
    'FILES and S3 name a store from the configuration. TABLE: a table in the same database, created when absent.',
})
export class ArchiveDestinationInput implements inputs.ArchiveDestinationInput {
  @Field(() => ArchiveKind, { description: 'Where the rows go.' })
  kind!: ArchiveKind;

  @Field(() => String, {
    nullable: true,
    description: 'FILES and S3: the name of the store; local when not given.',
  })
  store?: string | null;

  @Field(() => ArchiveFormat, { nullable: true, description: 'FILES and S3: how the rows are written.' })
  format?: ArchiveFormat | null;

  @Field(() => String, { nullable: true, description: 'TABLE: its schema.' })
  schema?: string | null;

  @Field(() => String, { nullable: true, description: 'TABLE: its name.' })
  table?: string | null;
}

@InputType({ description: 'Rows to move into an archive.' })
export class PlanArchiveInput extends PlanRowsInput implements inputs.PlanArchiveInput {
  @Field(() => ArchiveDestinationInput, { description: 'Where the rows go.' })
  destination!: ArchiveDestinationInput;
}

@InputType({
  description:
    'Rows whose reference points at nothing: a column set and the table it should find its key in. A NULL points nowhere and is no orphan.',
})
export class PlanOrphanRemovalInput extends PlanTableInput implements inputs.PlanOrphanRemovalInput {
  @Field(() => [String], { description: 'The columns that point there.' })
  columns!: string[];

  @Field(() => String, { defaultValue: 'public', description: 'The schema of the table they point to.' })
  referencedSchema!: string;

  @Field(() => String, { description: 'The table they point to.' })
  referencedTable!: string;

  @Field(() => [String], { description: 'Its columns, in the order of columns.' })
  referencedColumns!: string[];

  @Field(() => DependentRows, {
    defaultValue: DependentRows.REFUSE,
    description: 'What to do about rows that reference the orphans. INCLUDE: treat them too, children first.',
  })
  dependents!: DependentRows;

  @Field(() => ArchiveDestinationInput, {
    nullable: true,
    description: 'Where the rows are kept; not at all when not given.',
  })
  destination?: ArchiveDestinationInput | null;

  @Field(() => LimitsInput, { nullable: true, description: 'Bounds that the run may not pass.' })
  limits?: LimitsInput | null;

  @Field(() => ThrottleInput, { nullable: true, description: 'How the run makes room for everybody else.' })
  throttle?: ThrottleInput | null;
}

@InputType({ description: 'A table to put in order.' })
export class PlanReorganizationInput extends PlanTableInput implements inputs.PlanReorganizationInput {
  @Field(() => ReorganizationMethod, {
    defaultValue: ReorganizationMethod.AUTO,
    description:
      'AUTO chooses and says why. COMPACT works in place without a second copy. VACUUM_FULL and CLUSTER lock the table.',
  })
  method!: ReorganizationMethod;

  @Field(() => String, { nullable: true, description: 'CLUSTER: the index that gives the order.' })
  index?: string | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'COMPACT: moving rows may fire the triggers of the table, which is known and meant.',
  })
  acknowledgeTriggers?: boolean | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: "Free bytes on the disk of the table, where the plan can't find out.",
  })
  diskFreeBytes?: number | null;

  @Field(() => ThrottleInput, { nullable: true, description: 'How the run makes room for everybody else.' })
  throttle?: ThrottleInput | null;
}

@InputType({
  description:
    'Archived rows to bring back. Give archiveId, or the runId that made the archive; of a run that has removed an index, the index.',
})
export class PlanRestoreInput implements inputs.PlanRestoreInput {
  @Field(() => ID, { nullable: true, description: 'The archive.' })
  archiveId?: string | null;

  @Field(() => ID, { nullable: true, description: 'The run to undo.' })
  runId?: string | null;

  @Field(() => RowFilterInput, { nullable: true, description: 'Only these rows of the archive.' })
  where?: RowFilterInput | null;

  @Field(() => RestoreInto, { defaultValue: RestoreInto.SOURCE, description: 'Where the rows go.' })
  into!: RestoreInto;

  @Field(() => RestoreConflict, {
    defaultValue: RestoreConflict.REFUSE,
    description: 'What to do about a row whose key is already there.',
  })
  onConflict!: RestoreConflict;

  @Field(() => ThrottleInput, { nullable: true, description: 'How the run makes room for everybody else.' })
  throttle?: ThrottleInput | null;

  @Field(() => String, {
    nullable: true,
    description: 'Why, for those who approve and those who come later.',
  })
  reason?: string | null;
}
