import { GraphQLDateTime, GraphQLSafeInt } from 'graphql-scalars';
import { Field, Float, Int, ObjectType } from 'type-graphql';
import { ApprovalDecision, EffectKind } from '../domain/words.ts';

@ObjectType({ description: 'How much a plan would do.' })
export class PlanImpact {
  @Field(() => GraphQLSafeInt, { description: 'Rows that the run will treat.' })
  rows!: number;

  @Field(() => Boolean, { description: 'Whether they were counted; false when the count took too long.' })
  rowsAreExact!: boolean;

  @Field(() => Float, { description: "Share of the table's rows, 0..1." })
  share!: number;

  @Field(() => GraphQLSafeInt, { description: 'Bytes of those rows.' })
  bytes!: number;

  @Field(() => Int, { nullable: true, description: 'How long the run may take, with its throttle.' })
  estimatedSeconds!: number | null;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Write-ahead log that the run may make.' })
  walBytes!: number | null;

  @Field(() => GraphQLSafeInt, { nullable: true, description: 'Room that the run needs while it works.' })
  diskNeededBytes!: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'What the disk of the table has left; null when not known, or not asked.',
  })
  diskFreeBytes?: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description:
      'What should come back to the disk; null when not known. The result of the run has the fact.',
  })
  bytesReclaimed?: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: "What should become free within the table's files; null when not known.",
  })
  bytesReusable?: number | null;
}

@ObjectType({ description: 'Rows of another table that would change.' })
export class PlanEffect {
  @Field(() => String, { description: 'The schema of the other table.' })
  schema!: string;

  @Field(() => String, { description: 'The other table.' })
  table!: string;

  @Field(() => EffectKind, { description: 'How they would change.' })
  effect!: EffectKind;

  @Field(() => GraphQLSafeInt, { description: 'How many rows; of a trigger, how often it fires.' })
  rows!: number;

  @Field(() => String, { description: 'By which key or trigger.' })
  detail!: string;
}

@ObjectType({ description: 'A lock that the run takes.' })
export class PlanLock {
  @Field(() => String, { description: 'The table or index.' })
  relation!: string;

  @Field(() => String, { description: "PostgreSQL's name of the lock." })
  mode!: string;

  @Field(() => Int, { nullable: true, description: 'The longest that it is held at a time.' })
  longestMs!: number | null;
}

@ObjectType({ description: 'Something that stands in the way, or that one should know.' })
export class PlanNotice {
  @Field(() => String, { description: 'A stable word (docs/errors.md).' })
  code!: string;

  @Field(() => String, { description: 'What is the matter.' })
  message!: string;

  @Field(() => String, { nullable: true, description: 'What to do about it.' })
  hint!: string | null;
}

@ObjectType({ description: 'A step of the run, with what it sends to the database.' })
export class PlanStep {
  @Field(() => Int, { description: 'Its place, from 1.' })
  position!: number;

  @Field(() => String, { description: 'What it does.' })
  description!: string;

  @Field(() => String, { description: 'The SQL, to read; the run fills in its own bounds.' })
  sql!: string;
}

@ObjectType({ description: "Somebody else's yes or no to a plan." })
export class Approval {
  @Field(() => String, { description: 'Who.' })
  by!: string;

  @Field(() => GraphQLDateTime, { description: 'When.' })
  at!: Date;

  @Field(() => ApprovalDecision, { description: 'Yes or no.' })
  decision!: ApprovalDecision;

  @Field(() => String, { nullable: true, description: 'What they had to say.' })
  comment!: string | null;
}
