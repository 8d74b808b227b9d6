import { setTimeout as rest } from 'node:timers/promises';
import { type DocumentNode, print } from 'graphql';
import { GraphQLClient, type RequestDocument } from 'graphql-request';
import { createClient } from 'graphql-ws';
import { type Credentials, type TokenSource, tokenSource } from './access-token.ts';
import { ApiError, apiError } from './api-error.ts';

export interface ClientSettings {
  /** Where the API is, without a path: http://127.0.0.1:4000 */
  readonly url: string;
  readonly credentials: Credentials;
}

/** A document as the code generation makes it: it carries the types of its result and variables, at no cost. */
export interface TypedDocument<Result, Variables> extends DocumentNode {
  __apiType?: (variables: Variables) => Result;
}

/** The API of one server, for one identity. Results are typed by their documents. */
export interface ApiClient {
  readonly url: string;
  /** Waits and tries again when the API is busy (429, 503), a few times. @throws ApiError */
  request<Result, Variables extends object>(
    document: TypedDocument<Result, Variables>,
    variables: Variables,
  ): Promise<Result>;
  /** Ends when the server ends it. @throws ApiError, with code UNREACHABLE when the connection was lost. */
  subscribe<Result, Variables extends object>(
    document: TypedDocument<Result, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ): AsyncIterable<Result>;
}

const ATTEMPTS = 5;
const BUSY = [429, 503];
const LONGEST_WAIT_MS = 30_000;

export function apiClient(settings: ClientSettings): ApiClient {
  const url = settings.url.replace(/\/+$/, '');
  const tokens = tokenSource(url, settings.credentials, () => new Date());
  const http = new GraphQLClient(`${url}/graphql`);
  return {
    url,
    request: <Result, Variables extends object>(
      document: TypedDocument<Result, Variables>,
      variables: Variables,
    ) =>
      persistently(url, tokens, async () => {
        const headers = { authorization: `Bearer ${await tokens.get()}` };
        return http.request<Result>(document as RequestDocument, { ...variables }, headers);
      }),
    subscribe: (document, variables, signal) =>
      subscription(url, tokens, { query: print(document), variables }, signal),
  };
}

async function persistently<T>(url: string, tokens: TokenSource, send: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      const failure = apiError(error, url);
      if (failure.status === 401 && attempt === 1 && tokens.renew()) continue;
      if (attempt === ATTEMPTS || !BUSY.includes(failure.status ?? 0)) throw failure;
      await rest(Math.min(failure.retryAfterMs ?? 500 * attempt, LONGEST_WAIT_MS));
    }
  }
}

/** One connection for one subscription; going on after a loss is up to the caller, who knows what has come already. */
async function* subscription<Result>(
  url: string,
  tokens: TokenSource,
  payload: { query: string; variables: object },
  signal: AbortSignal | undefined,
): AsyncGenerator<Result> {
  const socket = createClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    connectionParams: async () => ({ authorization: `Bearer ${await tokens.get()}` }),
    retryAttempts: 0,
  });
  const abort = () => void socket.dispose();
  signal?.addEventListener('abort', abort);
  try {
    for await (const answer of socket.iterate<Result>({ ...payload, variables: { ...payload.variables } })) {
      if (answer.errors?.[0]) throw refusal(answer.errors);
      if (answer.data) yield answer.data;
    }
  } catch (error) {
    if (!signal?.aborted) throw subscriptionError(error, url);
  } finally {
    signal?.removeEventListener('abort', abort);
    await socket.dispose();
  }
}

interface GraphQLFailure {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

function refusal(errors: readonly GraphQLFailure[]): ApiError {
  const [first] = errors;
  const code = first?.extensions?.['code'];
  return new ApiError(typeof code === 'string' ? code : 'UNKNOWN', first?.message ?? 'Refused.', null);
}

/** graphql-ws throws the errors of an operation as a list, and a close of the socket as its event. */
function subscriptionError(error: unknown, url: string): ApiError {
  if (error instanceof ApiError) return error;
  if (Array.isArray(error)) return refusal(error as GraphQLFailure[]);
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  if (typeof code === 'number' && code >= 4400 && code < 4500) {
    const word = code === 4401 ? 'UNAUTHENTICATED' : 'FORBIDDEN';
    return new ApiError(word, `The subscription was refused: ${String(reason)}.`, null, null, error);
  }
  return new ApiError('UNREACHABLE', `The connection to ${url} was lost.`, null, null, error);
}
