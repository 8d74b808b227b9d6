import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Request, RequestHandler } from 'express';
import type { ExecutionArgs, FormattedExecutionResult, GraphQLError } from 'graphql';
import { createHandler } from 'graphql-sse/lib/use/express';
import { useServer } from 'graphql-ws/use/ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { DeclutterError } from '../errors.ts';
import type { ApiContext } from '../graphql/context.ts';
import { presentError } from '../graphql/present-error.ts';
import type { Log } from '../log.ts';
import type { Authenticated } from '../security/authenticate.ts';
import { errorBody } from './answers.ts';
import { callerOf, type Gate } from './bearer.ts';
import { isRefusal, type Payload, type Subscriptions } from './subscriptions.ts';

interface StreamDeps {
  readonly gate: Gate;
  readonly subscriptions: Subscriptions;
  readonly contextOf: (caller: Authenticated, request: IncomingMessage) => ApiContext;
  readonly log: Log;
}

const MAX_MESSAGE = 100 * 1024;
/** setTimeout would fire at once for anything longer. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const UNAUTHORIZED = 4401;
const GOING_AWAY = 1001;

/** Subscriptions by graphql-ws: a token at connect, and an end when it expires. */
export function acceptWebSockets(server: Server, deps: StreamDeps): { close(): Promise<void> } {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE });
  const callers = new WeakMap<WebSocket, Authenticated>();
  const served = useServer(
    {
      onConnect: async ({ connectionParams, extra: { socket, request } }) => {
        const caller = await enter(deps, connectionParams, request);
        if (caller instanceof DeclutterError)
          return void socket.close(UNAUTHORIZED, caller.message.slice(0, 120));
        callers.set(socket, caller);
        endAtExpiry(caller, () => socket.close(UNAUTHORIZED, 'The access token has expired.'), socket);
        return true;
      },
      onSubscribe: async ({ extra: { socket, request } }, _id, payload) => {
        const caller = callers.get(socket);
        if (!caller) throw new TypeError('The socket was not authenticated.');
        return deps.subscriptions.prepare(payload as Payload, deps.contextOf(caller, request));
      },
      subscribe: deps.subscriptions.subscribe,
      onError: (_context, _id, _payload, errors) => errors.map((error) => present(error, deps.log)),
      onNext: (_context, _id, _payload, _args, result) => presentResult(result, deps.log),
    },
    sockets,
  );
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.url?.split('?')[0] !== '/graphql')
      return void socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
    sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request));
  });
  return {
    close: async () => {
      for (const socket of sockets.clients) socket.close(GOING_AWAY, 'The server is shutting down.');
      await served.dispose();
    },
  };
}

/** The token may come in the connection parameters, which is all that a browser can send, or in the header. */
async function enter(
  { gate, log }: StreamDeps,
  params: unknown,
  request: IncomingMessage,
): Promise<Authenticated | DeclutterError> {
  const { Authorization, authorization } = (params ?? {}) as Record<string, unknown>;
  const given = [Authorization, authorization, request.headers.authorization].find(
    (value) => typeof value === 'string',
  );
  try {
    return await gate.enter(given, request);
  } catch (error) {
    if (error instanceof DeclutterError) return error;
    log.error({ err: error }, 'a WebSocket could not be authenticated');
    throw error;
  }
}

/** graphql-sse wants its contexts indexable. */
type StreamContext = ApiContext & Record<PropertyKey, unknown>;

interface Closeable {
  once(event: 'close', listener: () => void): unknown;
}

function endAtExpiry({ expiresAt }: Authenticated, end: () => void, stream: Closeable): void {
  const timer = setTimeout(end, Math.min(Math.max(0, expiresAt.getTime() - Date.now()), MAX_TIMER_MS));
  stream.once('close', () => clearTimeout(timer));
}

/** Subscriptions by graphql-sse, one in each request; the token was checked before. */
export function streamHandler({ subscriptions, contextOf, log }: StreamDeps): {
  handle: RequestHandler;
  close(): void;
} {
  const open = new Set<{ end(): unknown }>();
  const handler = createHandler<StreamContext>({
    authenticate: () => null, // no streams that outlive their request
    onSubscribe: async ({ raw }, params) => {
      const prepared = await subscriptions.prepare(
        params,
        contextOf(callerOf(raw as Request), raw as Request),
      );
      return isRefusal(prepared)
        ? refusal(prepared, log)
        : (prepared as ExecutionArgs & { contextValue: StreamContext });
    },
    subscribe: subscriptions.subscribe,
    onNext: (_context, _request, result) => presentResult(result, log) as typeof result,
  });
  const handle: RequestHandler = async (request, response) => {
    request.headers.accept = 'text/event-stream'; // the library compares the whole header
    open.add(response);
    response.once('close', () => open.delete(response));
    endAtExpiry(callerOf(request), () => response.end(), response);
    await handler(request, response);
  };
  return { handle, close: () => open.forEach((response) => response.end()) };
}

function refusal(
  errors: readonly GraphQLError[],
  log: Log,
): [string, { status: number; statusText: string; headers: Record<string, string> }] {
  const { message, extensions } = present(errors[0] as GraphQLError, log);
  const code = String(extensions?.['code']);
  const status = code === 'RATE_LIMITED' ? 429 : 400;
  return [
    errorBody(code, message),
    { status, statusText: code, headers: { 'content-type': 'application/json; charset=utf-8' } },
  ];
}

const present = (error: GraphQLError, log: Log) => presentError(error, error.toJSON(), log);

function presentResult(
  result: { errors?: readonly unknown[] | undefined },
  log: Log,
): FormattedExecutionResult {
  const { errors, ...rest } = result as { errors?: readonly GraphQLError[] };
  return errors ? { ...rest, errors: errors.map((error) => present(error, log)) } : rest;
}
