import type { GraphQLFormattedError } from 'graphql';
import type { RateLimitState } from '../graphql/context.ts';

const WINDOW_S = 60;

/** RateLimit and RateLimit-Policy as the draft of the IETF has them, and Retry-After on a refusal. */
export function rateHeaders(
  state: RateLimitState | null,
  error: GraphQLFormattedError | undefined,
): [string, string][] {
  const retryAfterMs = error?.extensions?.['retryAfterMs'];
  if (typeof retryAfterMs === 'number') {
    const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
    const limit = Number(error?.extensions?.['limit'] ?? 0);
    return [['retry-after', String(seconds)], ...bucket({ limit, remaining: 0, resetsInSeconds: seconds })];
  }
  return state === null ? [] : bucket(state);
}

const bucket = ({ limit, remaining, resetsInSeconds }: RateLimitState): [string, string][] => [
  ['ratelimit-policy', `"graphql";q=${limit};w=${WINDOW_S}`],
  ['ratelimit', `"graphql";r=${remaining};t=${resetsInSeconds}`],
];
