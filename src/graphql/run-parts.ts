import { GraphQLDateTime, GraphQLJSON, GraphQLSafeInt } from 'graphql-scalars';
import { Field, Float, Int, ObjectType } from 'type-graphql';
import { connectionType } from './connection.ts';

@ObjectType({ description: 'How far a run is.' })
export class RunProgress {
  @Field(() => GraphQLSafeInt, { description: 'Rows treated so far.' })
  rowsDone!: number;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Rows in all, as planned.' })
  rowsTotal!: number | null;

  @Field(() => Float, { nullable: true, description: 'Share done, 0..1.' })
  ratio!: number | null;

  @Field(() => Float, { nullable: true, description: 'Of late, rests included.' })
  rowsPerSecond!: number | null;

  @Field(() => Int, { nullable: true, description: 'How long it may still take.' })
  etaSeconds!: number | null;

  @Field(() => Int, { description: 'Batches done so far; each is one transaction.' })
  batches!: number;
}

@ObjectType({ description: 'How a run makes room, and why it rests.' })
export class RunThrottle {
  @Field(() => Boolean, { description: 'Whether something makes it rest now.' })
  active!: boolean;

  @Field(() => String, { nullable: true, description: 'What makes it rest.' })
  reason!: string | null;

  @Field(() => Float, { description: 'Share of the time spent working, 0..1.' })
  dutyCycle!: number;

  @Field(() => Int, { description: 'Rows in a batch, as tuned of late.' })
  batchRows!: number;
}

@ObjectType({ description: 'What a run has done.' })
export class RunResult {
  @Field(() => GraphQLSafeInt, { description: 'Rows deleted.' })
  rowsDeleted!: number;

  @Field(() => GraphQLSafeInt, { description: 'Rows archived.' })
  rowsArchived!: number;

  @Field(() => GraphQLSafeInt, { description: 'Rows brought back.' })
  rowsRestored!: number;

  @Field(() => GraphQLSafeInt, { description: 'Rows that now point to another row.' })
  rowsRepointed!: number;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Bytes given back to the disk.' })
  bytesReclaimed!: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: "Bytes free within the table's files, for new rows.",
  })
  bytesReusable!: number | null;

  @Field(() => String, { nullable: true, description: 'What to do next.' })
  nextStep!: string | null;
}

@ObjectType({ description: 'Something that happened to a run.' })
export class RunEvent {
  @Field(() => Int, { description: 'Its place among the events of the run.' })
  sequence!: number;

  @Field(() => GraphQLDateTime, { description: 'When.' })
  at!: Date;

  @Field(() => String, { description: 'A stable word.' })
  kind!: string;

  @Field(() => String, { description: 'What happened, in a sentence.' })
  message!: string;

  @Field(() => GraphQLJSON, { description: 'Its figures.' })
  data!: unknown;
}

export const RunEventConnection = connectionType('RunEvent', () => RunEvent);
