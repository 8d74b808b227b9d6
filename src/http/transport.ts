import { randomUUID } from 'node:crypto';
import express, { type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import type { Log } from '../log.ts';
import { refuse } from './answers.ts';

const MAX_BODY = 100 * 1024;
const MAX_JSON_DEPTH = 64;

/** What a browser sends across origins without asking first. */
const SIMPLE_TYPES = new Set(['', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']);

const requestIds = new WeakMap<object, string>();

/** The id under which a request is found in the log and in the audit chain. */
export function requestIdOf(request: object): string {
  const id = requestIds.get(request) ?? randomUUID();
  requestIds.set(request, id);
  return id;
}

export const safeHeaders: RequestHandler = (_request, response, next) => {
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
  response.setHeader('x-frame-options', 'DENY');
  next();
};

/** Operations come by POST, as JSON in UTF-8, and nothing else. */
export function onlyJsonPosts(accepts: 'application/json' | 'text/event-stream'): RequestHandler {
  return (request, response, next) => {
    if (request.method !== 'POST') {
      return refuse(response, 405, 'METHOD_NOT_ALLOWED', 'Operations are sent by POST.', { allow: 'POST' });
    }
    if ('access_token' in request.query) return refuseStrayToken(response);
    const [type, charset] = contentType(request);
    if (SIMPLE_TYPES.has(type)) {
      return refuse(
        response,
        400,
        'BAD_REQUEST',
        'Send the operation as application/json: other types are blocked as a protection against forged requests.',
      );
    }
    if (type !== 'application/json' || (charset !== undefined && charset !== 'utf-8')) {
      return refuse(
        response,
        415,
        'UNSUPPORTED_MEDIA_TYPE',
        'Send the operation as application/json in UTF-8.',
      );
    }
    if (!acceptable(request, accepts)) {
      return refuse(response, 406, 'NOT_ACCEPTABLE', `The answer is ${accepts}; accept it.`);
    }
    next();
  };
}

function contentType({ headers }: Request): [string, string | undefined] {
  const [type = '', ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters
    .map((parameter) => /^\s*charset="?([^"\s]+)"?\s*$/.exec(parameter)?.[1])
    .find(Boolean);
  return [type.trim(), charset];
}

function acceptable(request: Request, type: 'application/json' | 'text/event-stream'): boolean {
  if (type === 'text/event-stream') return request.headers.accept?.includes(type) === true;
  return request.accepts([type, 'application/graphql-response+json']) !== false;
}

const refuseStrayToken = (response: Parameters<typeof refuse>[0]) =>
  refuse(
    response,
    400,
    'BAD_REQUEST',
    'An access token belongs in the header Authorization, never in the address or the body.',
    {
      'www-authenticate': 'Bearer realm="declutter", error="invalid_request"',
    },
  );

export const jsonBody: RequestHandler = express.json({
  limit: MAX_BODY,
  strict: true,
  type: 'application/json',
});

/** A body that is deeper than any sensible one would cost whoever walks through it. */
export const sensibleBody: RequestHandler = (request, response, next) => {
  const body: unknown = request.body;
  if (isDeeperThan(body, MAX_JSON_DEPTH))
    return refuse(response, 400, 'BAD_REQUEST', 'The JSON is nested too deep.');
  if (typeof body !== 'object' || body === null)
    return refuse(response, 400, 'BAD_REQUEST', 'The body is no GraphQL request.');
  if ('access_token' in body) return refuseStrayToken(response);
  if (
    'variables' in body &&
    (Array.isArray(body.variables) || !['object', 'undefined'].includes(typeof body.variables))
  ) {
    return refuse(response, 400, 'BAD_REQUEST', 'variables must be an object.');
  }
  next();
};

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((member) => isDeeperThan(member, depth - 1));
}

const BODY_ERRORS: Readonly<Record<number, readonly [string, string]>> = {
  400: ['BAD_REQUEST', 'The body is not the JSON that it should be.'],
  413: ['PAYLOAD_TOO_LARGE', `The body is larger than ${MAX_BODY} bytes.`],
  415: ['UNSUPPORTED_MEDIA_TYPE', 'Send the operation as application/json in UTF-8.'],
};

/** Express would answer with a page of HTML and a stack trace. */
export function jsonErrors(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const status = (error as { status?: unknown }).status;
    const known = typeof status === 'number' ? BODY_ERRORS[status] : undefined;
    if (known) return refuse(response, status as number, known[0], known[1]);
    log.error({ err: error, requestId: requestIdOf(request) }, 'a request failed unexpectedly');
    refuse(response, 500, 'INTERNAL_SERVER_ERROR', `Internal server error (${requestIdOf(request)})`);
  };
}

export const notFoundAnswer: RequestHandler = (_request, response) =>
  refuse(response, 404, 'NOT_FOUND', 'There is nothing here. Operations go to POST /graphql.');
