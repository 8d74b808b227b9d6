import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { apiClient } from '../../../src/cli/client/api-client.ts';
import { ApiError } from '../../../src/cli/client/api-error.ts';
import { DatabasesDocument } from '../../../src/cli/client/generated/api.ts';

type Answer = { status: number; body: unknown; headers?: Record<string, string> };

/** A server that answers /oauth/token with tokens 1, 2, ... and /graphql as told. */
async function serve(onQuery: (token: string, request: number) => Answer): Promise<string> {
  let tokens = 0;
  let queries = 0;
  server = createServer((request: IncomingMessage, response: ServerResponse) => {
    request.resume().on('end', () => {
      const answer =
        request.url === '/oauth/token' ? token(request) : onQuery(bearer(request), (queries += 1));
      response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
      response.end(JSON.stringify(answer.body));
    });
  });
  const token = (request: IncomingMessage): Answer =>
    request.headers.authorization === `Basic ${Buffer.from('viewer:s%3Aecret').toString('base64')}`
      ? { status: 200, body: { access_token: `token-${(tokens += 1)}`, expires_in: 900 } }
      : { status: 401, body: { error: 'invalid_client' } };
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const bearer = (request: IncomingMessage) => String(request.headers.authorization).replace('Bearer ', '');
const NOTHING: Answer = { status: 200, body: { data: { databases: [] } } };
const VIEWER = { clientId: 'viewer', clientSecret: 's:ecret' };

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

describe('the client of the API', () => {
  it('gets one token by client credentials and uses it for every request', async () => {
    const seen: string[] = [];
    const url = await serve((token) => (seen.push(token), NOTHING));
    const client = apiClient({ url: `${url}/`, credentials: VIEWER });
    await client.request(DatabasesDocument, {});
    expect(await client.request(DatabasesDocument, {})).toEqual({ databases: [] });
    expect(seen).toEqual(['token-1', 'token-1']);
  });

  it('gets a new token when the API no longer takes the old one', async () => {
    const url = await serve((token) => (token === 'token-1' ? { status: 401, body: {} } : NOTHING));
    const client = apiClient({ url, credentials: VIEWER });
    expect(await client.request(DatabasesDocument, {})).toEqual({ databases: [] });
  });

  it('does not ask twice with a token that it cannot renew', async () => {
    let requests = 0;
    const url = await serve((_token, request) => ((requests = request), { status: 401, body: {} }));
    const client = apiClient({ url, credentials: { token: 'stale' } });
    await expect(client.request(DatabasesDocument, {})).rejects.toMatchObject({
      code: 'HTTP_401',
      status: 401,
    });
    expect(requests).toBe(1);
  });

  it('waits as long as a busy API asks, and tries again', async () => {
    const url = await serve((_token, request) =>
      request === 1 ? { status: 429, body: {}, headers: { 'retry-after': '1' } } : NOTHING,
    );
    const started = performance.now();
    await apiClient({ url, credentials: VIEWER }).request(DatabasesDocument, {});
    expect(performance.now() - started).toBeGreaterThan(950);
  });

  it('tells a refusal by its code', async () => {
    const refusal = { message: 'You may not.', extensions: { code: 'FORBIDDEN' } };
    const url = await serve(() => ({ status: 200, body: { data: null, errors: [refusal] } }));
    const failure = await apiClient({ url, credentials: VIEWER })
      .request(DatabasesDocument, {})
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ApiError);
    expect(failure).toMatchObject({ code: 'FORBIDDEN', message: 'You may not.' });
  });

  it('says which client gets no token, and never its secret', async () => {
    const url = await serve(() => NOTHING);
    const client = apiClient({ url, credentials: { clientId: 'viewer', clientSecret: 'guessed' } });
    const failure = await client.request(DatabasesDocument, {}).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect((failure as Error).message).toBe('No token for client viewer: invalid_client.');
  });

  it('names the address that does not answer', async () => {
    const client = apiClient({ url: 'http://127.0.0.1:1', credentials: { token: 'any' } });
    await expect(client.request(DatabasesDocument, {})).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: 'No answer from http://127.0.0.1:1. Is it running?',
    });
  });
});
