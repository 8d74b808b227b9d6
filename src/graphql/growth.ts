import { GraphQLDateTime, GraphQLSafeInt } from 'graphql-scalars';
import { Arg, Field, FieldResolver, Int, ObjectType, Resolver, Root } from 'type-graphql';
import { forecastBytes, type Growth as GrowthView } from '../domain/growth.ts';
import { badInput } from '../errors.ts';

@ObjectType({
  description:
    'How a size changes: the median of the slopes between all pairs of days with a snapshot, of the last 30 days.',
})
export class Growth {
  @Field(() => GraphQLSafeInt, { description: 'Bytes gained a day; negative when it shrinks.' })
  bytesPerDay!: number;

  @Field(() => GraphQLSafeInt, {
    nullable: true,
    description: 'The same of the waste; null where it was not known on enough days.',
  })
  wastedBytesPerDay!: number | null;

  @Field(() => Int, { description: 'How many days with a snapshot it rests on.' })
  days!: number;

  @Field(() => GraphQLDateTime, { description: 'The first of these.' })
  since!: Date;
}

const FURTHEST_DAYS = 3_650;

@Resolver(() => Growth)
export class GrowthResolver {
  @FieldResolver(() => GraphQLSafeInt, {
    description: 'The size so many days after the last snapshot, if it goes on like this.',
  })
  forecastBytes(
    @Root() growth: GrowthView,
    @Arg('days', () => Int, { defaultValue: 30, description: `From 1 to ${FURTHEST_DAYS}.` }) days: number,
  ): number {
    if (days < 1 || days > FURTHEST_DAYS) throw badInput(`days must be from 1 to ${FURTHEST_DAYS}.`);
    return forecastBytes(growth, days);
  }
}
