import { Ctx, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { Role } from '../domain/words.ts';
import { ALL_SCOPES, scopeOf } from '../security/permissions.ts';
import type { ApiContext, RateLimitState } from './context.ts';

@ObjectType({ description: 'What is left of your points; each operation costs as many as it asks for.' })
export class RateLimit {
  @Field(() => Int, { description: 'Points in each minute.' })
  limit!: number;

  @Field(() => Int, { description: 'Points left in this minute.' })
  remaining!: number;

  @Field(() => Int, { description: 'Seconds until the points are full again.' })
  resetsInSeconds!: number;
}

@ObjectType({ description: 'Who the token says you are.' })
export class Viewer {
  @Field(() => String, { description: 'The subject of the token.' })
  subject!: string;

  @Field(() => String, { nullable: true, description: 'The OAuth 2 client that the token was given to.' })
  clientId!: string | null;

  @Field(() => [Role], { description: 'Your roles.' })
  roles!: Role[];

  @Field(() => [String], { description: 'The scopes that you have, by themselves or through roles.' })
  scopes!: string[];

  @Field(() => Boolean, { description: 'Whether this is a token of a program; those never approve plans.' })
  isMachine!: boolean;

  @Field(() => RateLimit, { description: 'What is left of your rate limit.' })
  rateLimit!: RateLimitState;
}

const UNLIMITED: RateLimitState = { limit: 0, remaining: 0, resetsInSeconds: 0 };

@Resolver(() => Viewer)
export class ViewerResolver {
  @Query(() => Viewer, {
    description: 'Who the token says you are, what you may do, and what is left of your rate limit.',
  })
  viewer(@Ctx() { principal, permissions, rateLimit }: ApiContext): Viewer {
    const held = new Set([...permissions].map(scopeOf));
    return {
      subject: principal.subject,
      clientId: principal.clientId,
      roles: [...principal.roles],
      scopes: ALL_SCOPES.filter((scope) => held.has(scope)),
      isMachine: principal.isMachine,
      rateLimit: rateLimit ?? UNLIMITED,
    };
  }
}
