import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { type ApiServer, apiServer } from '../support/api-server.ts';

type Init = Omit<RequestInit, 'headers'> & { readonly headers?: Record<string, string> };

const QUERY = JSON.stringify({ query: '{ viewer { subject } }' });

describe('the transport', () => {
  let api: ApiServer;
  let bearer: { authorization: string };
  beforeAll(async () => {
    api = await apiServer({});
    bearer = { authorization: `Bearer ${await api.token('viewer')}` };
  });
  afterAll(() => api.close());

  const answers = async (init: Init, path = '/graphql') => {
    const response = await fetch(`${api.url}${path}`, { ...init, headers: { ...bearer, ...init.headers } });
    const body = (await response.json()) as { errors?: { extensions: { code: string } }[] };
    return { status: response.status, code: body.errors?.[0]?.extensions.code };
  };
  const json = { 'content-type': 'application/json' };

  it('serves an operation sent as JSON', async () => {
    expect(await api.ask('viewer', '{ viewer { subject roles } }')).toMatchObject({
      status: 200,
      data: { viewer: { subject: 'viewer', roles: ['VIEWER'] } },
    });
  });

  it('lets nobody keep an answer', async () => {
    for (const query of ['{ viewer { subject } }', '{ nonsense }']) {
      const answer = await api.ask('viewer', query);
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
  });

  it('keeps quiet connections longer than a balancer in front of it would use them', async () => {
    const answer = await api.ask('viewer', '{ viewer { subject } }');
    expect(answer.headers.get('keep-alive')).toBe('timeout=65');
  });

  const refused: [string, Init, number, string][] = [
    ['malformed JSON', { method: 'POST', body: '{"query": ', headers: json }, 400, 'BAD_REQUEST'],
    ['a body that is no object', { method: 'POST', body: '"text"', headers: json }, 400, 'BAD_REQUEST'],
    [
      'a body of 200 kB',
      { method: 'POST', body: JSON.stringify({ query: 'x'.repeat(200_000) }), headers: json },
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    [
      'a small body that unpacks to 50 MB',
      {
        method: 'POST',
        body: gzipSync(Buffer.alloc(50_000_000, 32)),
        headers: { ...json, 'content-encoding': 'gzip' },
      },
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    [
      'plain text',
      { method: 'POST', body: QUERY, headers: { 'content-type': 'text/plain' } },
      400,
      'BAD_REQUEST',
    ],
    [
      'a form',
      { method: 'POST', body: 'query=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      400,
      'BAD_REQUEST',
    ],
    [
      'application/graphql',
      { method: 'POST', body: '{ viewer { subject } }', headers: { 'content-type': 'application/graphql' } },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'another charset',
      { method: 'POST', body: QUERY, headers: { 'content-type': 'application/json; charset=utf-7' } },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['PUT', { method: 'PUT', body: QUERY, headers: json }, 405, 'METHOD_NOT_ALLOWED'],
    ['DELETE', { method: 'DELETE' }, 405, 'METHOD_NOT_ALLOWED'],
    [
      'a client that accepts HTML alone',
      { method: 'POST', body: QUERY, headers: { ...json, accept: 'text/html' } },
      406,
      'NOT_ACCEPTABLE',
    ],
    ['a batch', { method: 'POST', body: `[${QUERY},${QUERY}]`, headers: json }, 400, 'BAD_REQUEST'],
    [
      'JSON 20 000 levels deep',
      {
        method: 'POST',
        body: `{"query":"{ viewer { subject } }","variables":${'{"a":'.repeat(20_000 / 2)}1${'}'.repeat(20_000 / 2)}}`,
        headers: json,
      },
      400,
      'BAD_REQUEST',
    ],
    [
      'variables that are no object',
      {
        method: 'POST',
        body: JSON.stringify({ query: '{ viewer { subject } }', variables: 'x' }),
        headers: json,
      },
      400,
      'BAD_REQUEST',
    ],
  ];
  for (const [what, init, status, code] of refused) {
    it(`refuses ${what} with ${status} as JSON`, async () => {
      expect(await answers(init)).toEqual({ status, code });
    });
  }

  it('refuses operations in the address, whatever header comes with them', async () => {
    const get = { status: 405, code: 'METHOD_NOT_ALLOWED' };
    expect(await answers({}, '/graphql?query=%7Bviewer%7Bsubject%7D%7D')).toEqual(get);
    const preflighted = { headers: { 'apollo-require-preflight': '1' } };
    expect(
      await answers(
        preflighted,
        '/graphql?query=mutation%7BsetMaintenanceStop(on:true,reason:%22x%22)%7Bon%7D%7D',
      ),
    ).toEqual(get);
  });

  it('names the method that is allowed', async () => {
    const response = await fetch(`${api.url}/graphql`, { method: 'PUT' });
    expect(response.headers.get('allow')).toBe('POST');
  });

  it('answers JSON for a path that does not exist', async () => {
    expect(await answers({}, '/nothing')).toEqual({ status: 404, code: 'NOT_FOUND' });
  });

  it('answers JSON when the headers are too large to be read', async () => {
    const { status, body } = await raw({ 'x-large': 'x'.repeat(64_000) });
    expect(status).toBe(431);
    expect(body).toContain('HEADERS_TOO_LARGE');
  });

  it('closes the connection when a request has two lengths', async () => {
    const answer = await rawText(
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"BAD_REQUEST"');
  });

  it('says where tokens come from', async () => {
    const response = await fetch(`${api.url}/.well-known/oauth-protected-resource`);
    expect(await response.json()).toMatchObject({
      resource: api.issuer.audience,
      authorization_servers: [api.issuer.issuer],
    });
  });

  it('is alive, ready and measured', async () => {
    expect((await fetch(`${api.url}/livez`)).status).toBe(200);
    expect((await fetch(`${api.url}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${api.url}/metrics`)).text()).toContain(
      'declutter_http_request_duration_seconds_count',
    );
  });

  it('is not ready while the control store does not answer', async () => {
    const down = await apiServer({}, { ready: () => Promise.reject(new Error('down')) });
    const response = await fetch(`${down.url}/readyz`);
    await down.close();
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 503,
      body: { status: 'the control store does not answer' },
    });
  });

  it('refuses to serve the embedded issuer to the world', async () => {
    await expect(apiServer({}, { host: '0.0.0.0' })).rejects.toMatchObject({ code: 'CONFIGURATION' });
  });

  it('says which port is taken', async () => {
    const port = Number(new URL(api.url).port);
    await expect(apiServer({}, { port })).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringContaining(String(port)),
    });
  });

  function raw(headers: Record<string, string>): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const sent = request(`${api.url}/graphql`, { method: 'POST', headers }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      });
      sent.on('error', reject).end();
    });
  }

  function rawText(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = '';
      const socket = connect(Number(new URL(api.url).port), '127.0.0.1', () => socket.write(text));
      socket.on('data', (chunk) => (answer += chunk.toString()));
      socket.on('close', () => resolve(answer)).on('error', reject);
    });
  }
});
