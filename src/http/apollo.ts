import type { Server } from 'node:http';
import {
  ApolloServer,
  type ApolloServerPlugin,
  type GraphQLRequestContextWillSendResponse,
} from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer';
import { GraphQLError, type GraphQLFormattedError, type GraphQLSchema, OperationTypeNode } from 'graphql';
import { admit, type Meter } from '../graphql/admit.ts';
import type { ApiContext } from '../graphql/context.ts';
import { documentLimits, MAX_ERRORS, MAX_TOKENS } from '../graphql/document-limits.ts';
import { HTTP_STATUS, presentError } from '../graphql/present-error.ts';
import type { Log } from '../log.ts';
import { rateHeaders } from './rate-headers.ts';

interface ApolloDeps {
  readonly schema: GraphQLSchema;
  readonly server: Server;
  readonly meter: Meter;
  readonly log: Log;
  readonly graceMs: number;
}

export async function startApollo({
  schema,
  server,
  meter,
  log,
  graceMs,
}: ApolloDeps): Promise<ApolloServer<ApiContext>> {
  const apollo = new ApolloServer<ApiContext>({
    schema,
    introspection: true, // nobody gets here without a token
    csrfPrevention: true,
    persistedQueries: false,
    allowBatchedHttpRequests: false,
    includeStacktraceInErrorResponses: false,
    hideSchemaDetailsFromClientErrors: true,
    stopOnTerminationSignals: false, // main.ts listens for signals
    parseOptions: { maxLexicalTokens: MAX_TOKENS },
    validationRules: [documentLimits],
    validationOptions: { maxErrors: MAX_ERRORS },
    formatError: (formatted, error) => presentError(error, formatted, log),
    logger: { debug: noop, info: noop, warn: (text) => log.warn(text), error: (text) => log.error(text) },
    plugins: [
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginCacheControlDisabled(), // it would look at every field, to find that nothing may be cached
      ApolloServerPluginDrainHttpServer({ httpServer: server, stopGracePeriodMillis: graceMs }),
      limits(schema, meter),
    ],
  });
  await apollo.start();
  return apollo;
}

const noop = () => undefined;

function limits(schema: GraphQLSchema, meter: Meter): ApolloServerPlugin<ApiContext> {
  return {
    requestDidStart: async () => ({
      didResolveOperation: async ({ document, operation, request, contextValue }) => {
        if (operation === undefined) return; // Apollo Server refuses it by itself
        if (operation.operation === OperationTypeNode.SUBSCRIPTION) {
          throw new GraphQLError(
            'Subscriptions go by graphql-ws to /graphql or by graphql-sse to POST /graphql/stream.',
            {
              extensions: { code: 'BAD_REQUEST' },
            },
          );
        }
        await admit(
          { schema, document, operation, variables: request.variables ?? {}, context: contextValue },
          meter,
        );
      },
      willSendResponse: async (answer) => finishAnswer(answer),
    }),
  };
}

/** The one place that sets a status: when there is no data at all, by the first error. */
function finishAnswer({ response, contextValue }: GraphQLRequestContextWillSendResponse<ApiContext>): void {
  response.http.headers.set('cache-control', 'no-store');
  if (response.body.kind !== 'single') return;
  const { singleResult } = response.body;
  if (singleResult.errors) singleResult.errors = singleResult.errors.slice(0, MAX_ERRORS);
  const first = singleResult.errors?.[0];
  if (first && singleResult.data == null) {
    response.http.status = HTTP_STATUS[String(first.extensions?.['code'])] ?? 200;
  }
  for (const [name, value] of [...rateHeaders(contextValue.rateLimit, first), ...scopeHeaders(first)]) {
    response.http.headers.set(name, value);
  }
}

/** RFC 6750: which scope would have been enough. */
function scopeHeaders(error: GraphQLFormattedError | undefined): [string, string][] {
  const scope = error?.extensions?.['scope'];
  if (typeof scope !== 'string') return [];
  return [['www-authenticate', `Bearer realm="declutter", error="insufficient_scope", scope="${scope}"`]];
}
