import { createRequire } from 'node:module';
import {
  getNullableType,
  GraphQLError,
  type GraphQLSchema,
  isCompositeType,
  getNamedType,
  isListType,
  type DocumentNode,
} from 'graphql';
import type * as complexity from 'graphql-query-complexity';
import { DEFAULT_FIRST, MAX_FIRST } from '../store/page.ts';
import { shownMessage } from './shown-message.ts';

// Its ES module build imports a second copy of graphql, which knows none of our types.
const { getComplexity } = createRequire(import.meta.url)('graphql-query-complexity') as typeof complexity;

type ComplexityEstimator = complexity.ComplexityEstimator;

/** More than this in one operation is refused, whatever is left of the points. */
export const MAX_POINTS = 5_000;
/** A list without first is taken to be so long. */
const USUAL_LENGTH = 5;
/** Measuring instead of estimating reads whole tables; so does counting their rows, or parts of them. Some ask the database at once. */
const EXACT_POINTS = 100;

const badRequest = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });

/** One point for each object that may come back. */
const estimate: ComplexityEstimator = ({ type, field, args, childComplexity }) => {
  if (!isCompositeType(getNamedType(field.type))) return 0;
  if (type.name.startsWith('__') || type.name.endsWith('Connection')) return childComplexity;
  const asksNow = ['DuplicateCount', 'QueryTime'].includes(getNamedType(field.type).name);
  const exact = args['exact'] === true || asksNow ? EXACT_POINTS : 0;
  const length = lengthOf(field, args);
  return 1 + exact + (length === null ? childComplexity : length * (1 + childComplexity));
};

/** null: no list */
function lengthOf(
  field: Parameters<ComplexityEstimator>[0]['field'],
  args: Record<string, unknown>,
): number | null {
  if (field.args.some(({ name }) => name === 'first')) return checkedFirst(args['first']);
  return isListType(getNullableType(field.type)) ? USUAL_LENGTH : null;
}

function checkedFirst(first: unknown): number {
  if (first == null) return DEFAULT_FIRST;
  if (typeof first !== 'number' || first < 1 || first > MAX_FIRST)
    throw badRequest(`first must be from 1 to ${MAX_FIRST}.`);
  return first;
}

interface Operation {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** What an operation costs. @throws GraphQLError BAD_USER_INPUT when it costs too much, or its variables do not fit */
export function pointsOf({ schema, document, operationName, variables }: Operation): number {
  const points = complexityOf({
    schema,
    query: document,
    variables: { ...variables },
    estimators: [estimate],
    ...(operationName === undefined ? {} : { operationName }),
  });
  if (points > MAX_POINTS) {
    throw badRequest(
      `This asks for too much at once: ${points} points, and ${MAX_POINTS} are allowed. Ask for shorter lists.`,
    );
  }
  return Math.max(1, points);
}

function complexityOf(options: Parameters<typeof getComplexity>[0]): number {
  try {
    return getComplexity(options);
  } catch (error) {
    if (!(error instanceof GraphQLError) || error.extensions['code'] !== undefined) throw error;
    throw badRequest(shownMessage(error, error.message));
  }
}
