import {
  type ExecutionArgs,
  type ExecutionResult,
  getOperationAST,
  GraphQLError,
  type GraphQLSchema,
  OperationTypeNode,
  parse,
  specifiedRules,
  subscribe,
  validate,
} from 'graphql';
import { DeclutterError } from '../errors.ts';
import { admit, type Meter } from '../graphql/admit.ts';
import type { ApiContext } from '../graphql/context.ts';
import { documentLimits, MAX_ERRORS, MAX_TOKENS } from '../graphql/document-limits.ts';

/** What both transports send to open a stream. */
export interface Payload {
  readonly query?: unknown;
  readonly operationName?: string | null;
  readonly variables?: Record<string, unknown> | null;
}

export interface Subscriptions {
  /** Either what graphql needs to begin, or why not. */
  prepare(payload: Payload, context: ApiContext): Promise<ExecutionArgs | readonly GraphQLError[]>;
  subscribe(args: ExecutionArgs): Promise<ExecutionResult | AsyncGenerator<ExecutionResult, void, void>>;
}

type Stream = AsyncGenerator<ExecutionResult, void, void>;

/** Open streams of one principal, in this process. */
const MAX_OPEN = 25;

export const isRefusal = (
  prepared: ExecutionArgs | readonly GraphQLError[],
): prepared is readonly GraphQLError[] => Array.isArray(prepared);

/** The same limits, charges and permissions for a stream as for any other operation. */
export function makeSubscriptions(schema: GraphQLSchema, meter: Meter): Subscriptions {
  const open = new Map<string, number>();
  return {
    prepare: async (payload, context) => {
      try {
        return await prepare(schema, payload, context, meter);
      } catch (error) {
        return [asGraphQLError(error)];
      }
    },
    subscribe: async (args) => {
      const { subject } = (args.contextValue as ApiContext).principal;
      const count = open.get(subject) ?? 0;
      if (count >= MAX_OPEN)
        return {
          errors: [refused('RATE_LIMITED', `You have ${MAX_OPEN} open subscriptions; close one first.`)],
        };
      open.set(subject, count + 1);
      const release = () => void open.set(subject, (open.get(subject) ?? 1) - 1);
      const stream = await subscribe(args);
      if (!(Symbol.asyncIterator in stream)) release();
      return Symbol.asyncIterator in stream ? releasing(stream, release) : stream;
    },
  };
}

const refused = (code: string, message: string) => new GraphQLError(message, { extensions: { code } });

const asGraphQLError = (error: unknown) =>
  error instanceof GraphQLError ? error : new GraphQLError('failed', { originalError: error as Error });

async function prepare(schema: GraphQLSchema, payload: Payload, context: ApiContext, meter: Meter) {
  const { query, operationName, variables } = payload;
  if (typeof query !== 'string') throw new DeclutterError('BAD_USER_INPUT', 'query must be a text.');
  const document = parseQuery(query);
  const invalid = validate(schema, document, [...specifiedRules, documentLimits], { maxErrors: MAX_ERRORS });
  if (invalid.length > 0) return invalid.map((error) => coded(error, 'GRAPHQL_VALIDATION_FAILED'));
  const operation = getOperationAST(document, operationName);
  if (operation?.operation !== OperationTypeNode.SUBSCRIPTION) {
    throw refused(
      'BAD_REQUEST',
      'Only subscriptions are served here; queries and mutations go to POST /graphql.',
    );
  }
  await admit({ schema, document, operation, variables: variables ?? {}, context }, meter);
  return {
    schema,
    document,
    operationName: operation.name?.value,
    variableValues: variables,
    contextValue: context,
  };
}

function parseQuery(query: string) {
  try {
    return parse(query, { maxLexicalTokens: MAX_TOKENS });
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    throw coded(error, 'GRAPHQL_PARSE_FAILED');
  }
}

function coded(error: GraphQLError, code: string): GraphQLError {
  error.extensions['code'] = code;
  return error;
}

/** The stream as it is, counted as open until it ends, fails, or is left. */
function releasing(stream: Stream, release: () => void): Stream {
  let held = true;
  const end = () => {
    if (held) release();
    held = false;
  };
  const leave = async <T>(step: Promise<T>): Promise<T> => {
    end();
    return step;
  };
  return {
    next: async () => {
      try {
        const item = await stream.next();
        if (item.done) end();
        return item;
      } catch (error) {
        end();
        throw error;
      }
    },
    return: (value) => leave(stream.return(value)),
    throw: (error) => leave(stream.throw(error)),
    [Symbol.asyncIterator]() {
      return this;
    },
    [Symbol.asyncDispose]: () => leave(stream.return(undefined).then(() => undefined)),
  };
}
