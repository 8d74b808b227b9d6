import { pino } from 'pino';
import type { LogLevel } from './config.ts';

export type Log = pino.Logger;

/** Whatever is under such a name is never written, at the top and one level down. */
const SECRET_NAMES = [
  'password',
  'token',
  'accessToken',
  'access_token',
  'secret',
  'clientSecret',
  'client_secret',
  'secretKey',
  'authorization',
  'cookie',
  'databaseUrl',
];

/** What slips into a message or a stack: a password within a URL, and a bearer token. */
const SECRETS_IN_TEXT: readonly (readonly [RegExp, string])[] = [
  [/(\w+:\/\/[^\s:/@"]*):[^\s@"]+@/g, '$1:***@'],
  [/\b(bearer|basic) +[\w.~+/=-]{8,}/gi, '$1 ***'],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, '***'],
];

/** JSON lines on stderr: stdout belongs to what a command prints. */
export function makeLog(level: LogLevel, destination: pino.DestinationStream = pino.destination(2)): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`]), censor: '***' },
      serializers: { err: serializeError },
      hooks: { streamWrite: withoutSecrets },
    },
    destination,
  );
}

function withoutSecrets(line: string): string {
  return SECRETS_IN_TEXT.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), line);
}

/** Named fields only: an error of PostgreSQL carries the values of rows in detail, where and internalQuery. */
function serializeError(error: unknown, depth = 0): unknown {
  if (!isErrorLike(error)) return String(error);
  const { code, details } = error as { code?: unknown; details?: unknown };
  return {
    type: error.name ?? 'Error',
    message: error.message,
    stack: error.stack,
    ...(code === undefined ? {} : { code }),
    ...(details === undefined ? {} : { details }),
    ...(error.cause === undefined || depth >= 5 ? {} : { cause: serializeError(error.cause, depth + 1) }),
  };
}

/** pg-boss tells of some errors by a plain object with their message. */
function isErrorLike(error: unknown): error is Omit<Error, 'name'> & { name?: string } {
  return (
    typeof error === 'object' &&
    error !== null &&
    'message' in error &&
    typeof error.message === 'string' &&
    'stack' in error
  );
}
