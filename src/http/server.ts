import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expressMiddleware } from '@as-integrations/express5';
import express, { type Express, type RequestHandler } from 'express';
import { DeclutterError } from '../errors.ts';
import type { Meter } from '../graphql/admit.ts';
import { type ApiContext, makeLoaders, type UseCases } from '../graphql/context.ts';
import { guardSchema } from '../graphql/guard-schema.ts';
import { buildApiSchema } from '../graphql/schema.ts';
import type { Log } from '../log.ts';
import type { Authenticate, Authenticated } from '../security/authenticate.ts';
import type { EmbeddedIssuer } from '../security/embedded-issuer.ts';
import { ALL_SCOPES } from '../security/permissions.ts';
import { errorBody } from './answers.ts';
import { startApollo } from './apollo.ts';
import { callerOf, type Gate, makeGate } from './bearer.ts';
import { livez, makeMetrics, readyz } from './health.ts';
import { isIssuerPath, issuerHandler } from './issuer.ts';
import { playground } from './playground.ts';
import { acceptWebSockets, streamHandler } from './streams.ts';
import { makeSubscriptions } from './subscriptions.ts';
import {
  jsonBody,
  jsonErrors,
  notFoundAnswer,
  onlyJsonPosts,
  requestIdOf,
  safeHeaders,
  sensibleBody,
} from './transport.ts';

export interface HttpDeps {
  readonly host: string;
  /** 0: any free one */
  readonly port: number;
  readonly useCases: UseCases;
  readonly authenticate: Authenticate;
  /** Whose tokens are trusted, for whom: told at /.well-known/oauth-protected-resource. */
  readonly auth: { readonly issuer: string; readonly audience: string };
  /** Serves POST /oauth/token; null when the issuer is an external one. */
  readonly embeddedIssuer: EmbeddedIssuer | null;
  readonly meter: Meter;
  /** Rejects when the control store does not answer. */
  readonly ready: () => Promise<void>;
  readonly log: Log;
  /** How long close() waits for what is under way. */
  readonly graceMs: number;
}

export interface HttpServer {
  readonly url: string;
  readonly port: number;
  /** Finishes what is under way, ends streams, lets the port go. */
  close(): Promise<void>;
}

/** @throws CONFIGURATION when the port is taken, or the embedded issuer would be reachable from elsewhere */
export async function startHttp(deps: HttpDeps): Promise<HttpServer> {
  if (deps.embeddedIssuer !== null && !isLoopback(deps.host)) {
    throw new DeclutterError(
      'CONFIGURATION',
      `The embedded issuer serves loopback only, and DECLUTTER_HOST is ${deps.host}. Set DECLUTTER_AUTH_ISSUER.`,
    );
  }
  const app = express().disable('x-powered-by').set('query parser', 'simple').set('trust proxy', false);
  const server = createServer(
    {
      maxHeaderSize: 16_384,
      headersTimeout: 15_000,
      requestTimeout: 30_000,
      // Longer than a balancer, or a client that is late, goes on using a quiet connection: whoever closes it first must not be us.
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: 2_000,
    },
    app,
  );
  refuseBrokenRequests(server);
  const closeApi = await serveApi(app, server, deps);
  await listen(server, deps.host, deps.port);
  const { port } = server.address() as AddressInfo;
  const host = deps.host.includes(':') ? `[${deps.host}]` : deps.host;
  return { url: `http://${host}:${port}`, port, close: closeApi };
}

const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

async function serveApi(app: Express, server: Server, deps: HttpDeps): Promise<() => Promise<void>> {
  const { log, meter, graceMs } = deps;
  const schema = guardSchema(buildApiSchema(), log);
  const apollo = await startApollo({ schema, server, meter, log, graceMs });
  const gate = makeGate(deps.authenticate, metadataAddress(deps.auth.audience));
  const contextOf = makeContextOf(deps.useCases);
  const streamDeps = { gate, subscriptions: makeSubscriptions(schema, meter), contextOf, log };
  const sockets = acceptWebSockets(server, streamDeps);
  const streams = streamHandler(streamDeps);
  const state = { draining: false };
  const operations = expressMiddleware(apollo, { context: async ({ req }) => contextOf(callerOf(req), req) });
  serveHealth(app, deps, () => state.draining);
  serveGraphql(app, gate, operations, streams.handle);
  app.use(notFoundAnswer, jsonErrors(log));
  return async () => {
    state.draining = true;
    streams.close();
    await sockets.close();
    await apollo.stop();
  };
}

const makeContextOf =
  (useCases: UseCases) =>
  ({ principal, permissions }: Authenticated, request: IncomingMessage): ApiContext => ({
    principal,
    permissions,
    useCases,
    loaders: makeLoaders(useCases),
    request: { id: requestIdOf(request), ip: request.socket.remoteAddress ?? '' },
    rateLimit: null,
  });

function serveHealth(
  app: Express,
  { ready, embeddedIssuer, auth, log }: HttpDeps,
  isDraining: () => boolean,
): void {
  const metrics = makeMetrics();
  app.use(metrics.count, safeHeaders, logRequests(log));
  app.get('/livez', livez);
  app.get('/readyz', readyz(isDraining, ready));
  app.get('/metrics', metrics.serve);
  app.get(/^\/\.well-known\/oauth-protected-resource(\/.*)?$/, (_request, response) => {
    response.json({
      resource: auth.audience,
      authorization_servers: [auth.issuer],
      scopes_supported: ALL_SCOPES,
      bearer_methods_supported: ['header'],
    });
  });
  if (embeddedIssuer === null) return;
  const handler = issuerHandler(embeddedIssuer, log);
  app.use((request, response, next) =>
    isIssuerPath(request.path) ? handler(request, response, next) : next(),
  );
}

/** What a request has to get past, in this order: its form, its size, its token. */
function serveGraphql(
  app: Express,
  { requireToken }: Gate,
  operations: RequestHandler,
  streams: RequestHandler,
): void {
  app.use(playground());
  const body = [jsonBody, sensibleBody, requireToken];
  app.all('/graphql', onlyJsonPosts('application/json'), ...body, operations);
  app.all('/graphql/stream', onlyJsonPosts('text/event-stream'), ...body, streams);
}

function logRequests(log: Log): RequestHandler {
  return (request, response, next) => {
    const began = performance.now();
    response.once('close', () =>
      log.debug({
        requestId: requestIdOf(request),
        method: request.method,
        path: request.path,
        status: response.statusCode,
        ms: Math.round(performance.now() - began),
      }),
    );
    next();
  };
}

/** RFC 9728: beside the resource, when that is an address at all. */
function metadataAddress(audience: string): string | null {
  const resource = URL.parse(audience);
  if (resource === null || !resource.protocol.startsWith('http')) return null;
  return `${resource.origin}/.well-known/oauth-protected-resource${resource.pathname === '/' ? '' : resource.pathname}`;
}

/** Node answers what it cannot even read without a body. */
function refuseBrokenRequests(server: Server): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const [status, code] = CLIENT_ERRORS[error.code ?? ''] ?? ['400 Bad Request', 'BAD_REQUEST'];
    const body = errorBody(code, 'The request could not be read.');
    socket.end(
      `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'HEADERS_TOO_LARGE'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'REQUEST_TIMEOUT'],
};

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      const hint = taken ? 'another process has it; set DECLUTTER_PORT' : (error.code ?? 'unknown');
      reject(
        new DeclutterError(
          'CONFIGURATION',
          `Cannot listen on ${host}:${port}: ${hint}.`,
          {},
          { cause: error },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
}
