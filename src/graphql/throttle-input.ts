import { GraphQLSafeInt } from 'graphql-scalars';
import { Field, Float, InputType, Int } from 'type-graphql';
import type { ThrottleInput as Throttle, TimeWindow } from '../domain/run.ts';

@InputType({ description: 'The time of day to work in.' })
export class TimeWindowInput implements TimeWindow {
  @Field(() => String, { description: 'From this time of day on, such as 22:00.' })
  from!: string;

  @Field(() => String, { description: 'Until this time of day; past midnight when it is the earlier one.' })
  to!: string;

  @Field(() => String, { defaultValue: 'UTC', description: 'Such as Europe/Berlin.' })
  timeZone!: string;
}

@InputType({
  description:
    'How a run makes room for everybody else. In updateThrottle what is left out stays as it is; null takes a bound away again, or gives back the value that a plan has without it.',
})
export class ThrottleInput implements Throttle {
  @Field(() => Float, {
    nullable: true,
    description:
      'Share of the time spent working, 0..1: 0.25 rests three times as long as it works. 0.2 when not given.',
  })
  dutyCycle?: number | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Upper bound of rows in a batch; the engine tunes below it.',
  })
  batchRows?: number | null;

  @Field(() => Int, {
    nullable: true,
    description: 'What one batch aims to take; single milliseconds by default.',
  })
  batchMs?: number | null;

  @Field(() => Int, { nullable: true, description: 'Rest while a replica is further behind than this.' })
  maxReplicaLagMs?: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'Rest while a replica is so many bytes of WAL behind; 1 GiB when not given.',
  })
  maxReplicaLagBytes?: number | null;

  @Field(() => Int, { nullable: true, description: 'Rest while more sessions than this wait for a lock.' })
  maxBlockedSessions?: number | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Rest while more WAL segments than this wait to be archived; 42 when not given.',
  })
  maxUnarchivedSegments?: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'Rest while a replication slot keeps more WAL than this; 16 GiB when not given.',
  })
  maxRetainedWalBytes?: number | null;

  @Field(() => Int, {
    nullable: true,
    description:
      'Rest while another session holds a snapshot for longer than this; not looked at when not given.',
  })
  maxSnapshotAgeMs?: number | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Rest while more sessions of others are active than this; not looked at when not given.',
  })
  maxActiveSessions?: number | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Pause the run when so many sessions of others are active; not looked at when not given.',
  })
  criticalActiveSessions?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      'Work less while statements of others take more than so many times as long because of us; 1.25 when not given. Not looked at from a dutyCycle of 0.9 on.',
  })
  maxSlowdown?: number | null;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'Pause when the folder of the archive has less room left; 256 MiB when not given.',
  })
  minArchiveFreeBytes?: number | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'Rest while VACUUM, ANALYZE or the like is at work on the table; true when not given.',
  })
  restForMaintenance?: boolean | null;

  @Field(() => TimeWindowInput, {
    nullable: true,
    description: 'The time of day to work in; always when not given.',
  })
  window?: TimeWindowInput | null;
}
