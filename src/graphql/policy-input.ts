import { GraphQLSafeInt } from 'graphql-scalars';
import { Field, InputType, Int } from 'type-graphql';
import type * as inputs from '../domain/plan-inputs.ts';
import { MissedTicks } from '../domain/words.ts';
import { PlanDeduplicationInput } from './deduplication-input.ts';
import { PlanReindexInput } from './index-inputs.ts';
import {
  PlanArchiveInput,
  PlanOrphanRemovalInput,
  PlanPurgeInput,
  PlanReorganizationInput,
} from './plan-inputs.ts';

@InputType({ description: "A time of day, in the policy's time zone." })
export class PolicyWindowInput {
  @Field(() => String, { description: 'From this time of day on, such as 22:00.' })
  from!: string;

  @Field(() => String, { description: 'Until this time of day; past midnight when it is the earlier one.' })
  to!: string;
}

@InputType({ description: 'A saved intention. Saving one of the same name puts it in its place.' })
export class PolicyInput implements inputs.PolicyInput {
  @Field(() => String, { description: 'Its name.' })
  name!: string;

  @Field(() => Boolean, { defaultValue: true, description: 'Nobody and nothing runs one that is not.' })
  enabled!: boolean;

  @Field(() => String, {
    nullable: true,
    description:
      'cron, five fields: minute, hour, day of month, month, day of week. By hand only when not given.',
  })
  schedule?: string | null;

  @Field(() => String, { defaultValue: 'UTC', description: 'Such as Europe/Berlin.' })
  timeZone!: string;

  @Field(() => PolicyWindowInput, {
    nullable: true,
    description: 'Ticks outside of it do not count, and runs rest outside of it; always when not given.',
  })
  window?: PolicyWindowInput | null;

  @Field(() => MissedTicks, {
    defaultValue: MissedTicks.SKIP,
    description: 'What becomes of ticks that no worker was there for.',
  })
  missed!: MissedTicks;

  @Field(() => Int, {
    defaultValue: 0,
    description:
      'Each tick is put off by up to so many seconds, so that policies of one minute do not start at once.',
  })
  jitterSeconds!: number;

  @Field(() => PlanPurgeInput, {
    nullable: true,
    description: 'To delete rows. Exactly one of these says what the policy does.',
  })
  purge?: PlanPurgeInput | null;

  @Field(() => PlanArchiveInput, { nullable: true, description: 'To move rows into an archive.' })
  archive?: PlanArchiveInput | null;

  @Field(() => PlanDeduplicationInput, {
    nullable: true,
    description: 'To leave one of the rows with the same key.',
  })
  deduplication?: PlanDeduplicationInput | null;

  @Field(() => PlanOrphanRemovalInput, {
    nullable: true,
    description: 'To remove rows whose reference points at nothing.',
  })
  orphanRemoval?: PlanOrphanRemovalInput | null;

  @Field(() => PlanReorganizationInput, { nullable: true, description: 'To put a table in order.' })
  reorganization?: PlanReorganizationInput | null;

  @Field(() => PlanReindexInput, { nullable: true, description: 'To build indexes anew.' })
  reindex?: PlanReindexInput | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'Runs larger than this wait for approval, and those whose rows could not be counted.',
  })
  autoStartMaxRows?: number | null;
}
