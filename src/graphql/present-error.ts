import { randomUUID } from 'node:crypto';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { DeclutterError } from '../errors.ts';
import type { Log } from '../log.ts';
import { shownMessage } from './shown-message.ts';

/** Codes of Apollo Server and of ours that are made at the edge, with messages that are fit to be shown. */
const SHOWN =
  /^(?:GRAPHQL_\w+|BAD_REQUEST|BAD_USER_INPUT|OPERATION_RESOLUTION_FAILURE|PERSISTED_QUERY_\w+|UNAUTHENTICATED|FORBIDDEN|RATE_LIMITED|PAYLOAD_TOO_LARGE|STORE_UNAVAILABLE)$/;

/** Prisma and the operating system say that the control store does not answer. */
const STORE_DOWN = /^(?:P1001|P1002|P1008|P1017|P2024|ECONNREFUSED|ECONNRESET|57P01|57P03|08\w{3})$/;

/** HTTP statuses of failures for which there is no data at all; everything else is a normal answer of GraphQL. */
export const HTTP_STATUS: Readonly<Record<string, number>> = {
  BAD_REQUEST: 400,
  BAD_USER_INPUT: 400,
  GRAPHQL_PARSE_FAILED: 400,
  GRAPHQL_VALIDATION_FAILED: 400,
  OPERATION_RESOLUTION_FAILURE: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  SELF_APPROVAL_FORBIDDEN: 403,
  RATE_LIMITED: 429,
  INTERNAL_SERVER_ERROR: 500,
  STORE_UNAVAILABLE: 503,
  AUTHORIZATION_SERVER_UNAVAILABLE: 503,
};

/** The stable word for whatever was thrown. */
export function codeOf(thrown: unknown): string {
  const error = original(thrown);
  if (error instanceof DeclutterError) return error.code;
  if (isStoreDown(error)) return 'STORE_UNAVAILABLE';
  const code = error instanceof GraphQLError ? error.extensions['code'] : undefined;
  return typeof code === 'string' && SHOWN.test(code) ? code : 'INTERNAL_SERVER_ERROR';
}

/**
 * What a caller gets to see. Known failures pass; everything else becomes an id, under which the whole is in the log: errors of
 * Prisma carry model names, errors of PostgreSQL carry values of rows.
 */
export function presentError(
  thrown: unknown,
  formatted: GraphQLFormattedError,
  log: Log,
): GraphQLFormattedError {
  const error = original(thrown);
  const place = {
    ...(formatted.locations ? { locations: formatted.locations } : {}),
    ...(formatted.path ? { path: formatted.path } : {}),
  };
  if (error instanceof DeclutterError) {
    if (error.cause !== undefined) log.warn({ err: error }, 'a request failed');
    return { message: error.message, ...place, extensions: { code: error.code, ...error.details } };
  }
  const code = shownCode(error, formatted);
  if (code !== null)
    return {
      message: shownMessage(thrown, formatted.message),
      ...place,
      extensions: { ...shownExtensions(formatted), code },
    };
  return maskedError(error, place, log);
}

function maskedError(error: unknown, place: object, log: Log): GraphQLFormattedError {
  const errorId = randomUUID();
  log.error({ err: error, errorId }, 'a request failed unexpectedly');
  if (isStoreDown(error)) {
    const message = 'The control store does not answer. Nothing is lost; try again in a moment.';
    return { message, ...place, extensions: { code: 'STORE_UNAVAILABLE', errorId } };
  }
  return {
    message: 'Internal server error',
    ...place,
    extensions: { code: 'INTERNAL_SERVER_ERROR', errorId },
  };
}

/** The error that a resolver threw, without the wrapping that says where. */
function original(thrown: unknown): unknown {
  return thrown instanceof GraphQLError && thrown.originalError != null
    ? original(thrown.originalError)
    : thrown;
}

/** Errors of GraphQL itself have no code before Apollo Server gives them one. */
function shownCode(error: unknown, formatted: GraphQLFormattedError): string | null {
  if (!(error instanceof GraphQLError)) return null;
  const code = error.extensions['code'] ?? formatted.extensions?.['code'];
  return typeof code === 'string' && SHOWN.test(code) ? code : null;
}

const shownExtensions = ({ extensions }: GraphQLFormattedError) =>
  Object.fromEntries(
    Object.entries(extensions ?? {}).filter(([key]) => key === 'scope' || key === 'retryAfterMs'),
  );

function isStoreDown(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && STORE_DOWN.test(code);
}
