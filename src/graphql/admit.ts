import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  visit,
} from 'graphql';
import { DESTRUCTIVE } from './access.ts';
import { pointsOf } from './complexity.ts';
import type { ApiContext, RateLimitState } from './context.ts';
import { refuseForbiddenPayload } from './forbidden-payload.ts';

/** The buckets that operations are charged to. */
export interface Meter {
  charge(principal: string, points: number): Promise<RateLimitState>;
  chargeDestructive(principal: string): Promise<void>;
}

interface Request {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: ApiContext;
}

/** The last look at a valid operation before it runs: its size, its texts, and what is left of the rate limit. */
export async function admit(
  { schema, document, operation, variables, context }: Request,
  meter: Meter,
): Promise<void> {
  if (hasNul(document, variables)) {
    throw new GraphQLError('A text may not contain the character NUL.', {
      extensions: { code: 'BAD_USER_INPUT' },
    });
  }
  refuseForbiddenPayload({ schema, document, operation, variables, permissions: context.permissions });
  const points = pointsOf({ schema, document, operationName: operation.name?.value, variables });
  const { subject, clientId } = context.principal;
  const key = JSON.stringify([subject, clientId]);
  context.rateLimit = await meter.charge(key, points);
  if (isDestructive(document)) await meter.chargeDestructive(key);
}

/** PostgreSQL has no NUL in text: better refused here than somewhere within. */
function hasNul(document: DocumentNode, variables: unknown): boolean {
  let found = anyText(variables, (text) => text.includes('\0'));
  visit(document, { StringValue: ({ value }) => void (found ||= value.includes('\0')) });
  return found;
}

function anyText(value: unknown, matches: (text: string) => boolean): boolean {
  if (typeof value === 'string') return matches(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, member]) => matches(key) || anyText(member, matches));
}

function isDestructive(document: DocumentNode): boolean {
  let found = false;
  visit(document, {
    [Kind.FIELD]: ({ name }: { name: { value: string } }) => void (found ||= DESTRUCTIVE.has(name.value)),
  });
  return found;
}
