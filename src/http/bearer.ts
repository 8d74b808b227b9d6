import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DeclutterError } from '../errors.ts';
import type { Authenticate, Authenticated } from '../security/authenticate.ts';
import { refuse } from './answers.ts';

/** So many bad tokens a minute from one address; then no more signatures are checked for it. */
const BAD_TOKENS_PER_MINUTE = 100;

const callers = new WeakMap<object, Authenticated>();

/** Whom requireToken has let in. */
export function callerOf(request: object): Authenticated {
  const caller = callers.get(request);
  if (!caller) throw new TypeError('The request was not authenticated.');
  return caller;
}

export interface Gate {
  /** By header or by the connection parameters of a WebSocket. @throws UNAUTHENTICATED, RATE_LIMITED and others */
  readonly enter: (authorization: string | undefined, request: IncomingMessage) => Promise<Authenticated>;
  readonly requireToken: RequestHandler;
}

/** Lets nobody through without a valid access token in the header Authorization. */
export function makeGate(authenticate: Authenticate, resourceMetadata: string | null): Gate {
  const failures = new RateLimiterMemory({ points: BAD_TOKENS_PER_MINUTE, duration: 60 });
  const enter: Gate['enter'] = async (authorization, request) => {
    const address = request.socket.remoteAddress ?? '';
    await assertFewFailures(failures, address);
    try {
      return await authenticate(tokenOf(authorization));
    } catch (error) {
      if (isBadToken(error)) await failures.penalty(address);
      throw error;
    }
  };
  const requireToken: RequestHandler = async (request, response, next) => {
    if (countHeaders(request, 'authorization') > 1) {
      return refuse(
        response,
        400,
        'BAD_REQUEST',
        'Send one header Authorization.',
        challenge('invalid_request', resourceMetadata),
      );
    }
    try {
      callers.set(request, await enter(request.headers.authorization, request));
    } catch (error) {
      return refuseEntry(response, error, resourceMetadata);
    }
    next();
  };
  return { enter, requireToken };
}

const NO_TOKEN = 'Send an access token: Authorization: Bearer <token>.';

/** @throws UNAUTHENTICATED */
function tokenOf(authorization: string | undefined): string {
  const [, token] = /^bearer ([\w.~+/-]+=*)$/i.exec(authorization ?? '') ?? [];
  if (token !== undefined) return token;
  if (authorization === undefined || !/^bearer\b/i.test(authorization)) {
    throw new DeclutterError('UNAUTHENTICATED', NO_TOKEN, { missing: true });
  }
  throw new DeclutterError(
    'UNAUTHENTICATED',
    'The header Authorization is not "Bearer", one blank and a token.',
  );
}

const isMissing = (error: DeclutterError) => error.details['missing'] === true;

const isBadToken = (error: unknown) =>
  error instanceof DeclutterError && error.code === 'UNAUTHENTICATED' && !isMissing(error);

async function assertFewFailures(failures: RateLimiterMemory, address: string): Promise<void> {
  const state = await failures.get(address);
  if (!(state instanceof RateLimiterRes) || state.consumedPoints < BAD_TOKENS_PER_MINUTE) return;
  throw new DeclutterError('RATE_LIMITED', 'Too many bad access tokens came from this address.', {
    retryAfterMs: state.msBeforeNext,
  });
}

function countHeaders({ rawHeaders }: IncomingMessage, name: string): number {
  return rawHeaders.filter((text, i) => i % 2 === 0 && text.toLowerCase() === name).length;
}

/** RFC 6750 section 3, with the pointer of RFC 9728 by which a program finds the issuer. */
function challenge(
  error: string | null,
  resourceMetadata: string | null,
  description?: string,
): Record<string, string> {
  const parts = ['realm="declutter"'];
  if (error !== null) parts.push(`error="${error}"`);
  if (description !== undefined)
    parts.push(`error_description="${description.replaceAll('"', "'").replace(/[^ -~]/g, '?')}"`);
  if (resourceMetadata !== null) parts.push(`resource_metadata="${resourceMetadata}"`);
  return { 'www-authenticate': `Bearer ${parts.join(', ')}` };
}

function refuseEntry(
  response: Parameters<typeof refuse>[0],
  error: unknown,
  resourceMetadata: string | null,
): void {
  if (!(error instanceof DeclutterError)) throw error;
  const { code, message } = error;
  if (code === 'UNAUTHENTICATED') {
    const headers = isMissing(error)
      ? challenge(null, resourceMetadata)
      : challenge('invalid_token', resourceMetadata, message);
    return refuse(response, 401, code, message, headers);
  }
  const retryAfter = Math.ceil(Number(error.details['retryAfterMs'] ?? 5_000) / 1000);
  refuse(response, code === 'RATE_LIMITED' ? 429 : 503, code, message, { 'retry-after': String(retryAfter) });
}
