import { setTimeout as rest } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Client as SocketClient, createClient } from 'graphql-ws';
import WebSocket from 'ws';
import type { RunEventView, RunView } from '../../src/graphql/views.ts';
import { type ApiServer, apiServer, type Client } from '../support/api-server.ts';

const RUN = '6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11';
const SUBSCRIBE = `subscription ($runId: ID!, $after: Int) { runEvents(runId: $runId, after: $after) { sequence kind } }`;

const event = (sequence: number): RunEventView => ({
  sequence,
  at: new Date(),
  kind: 'BATCH',
  message: 'm',
  data: {},
});

describe('streams', () => {
  let api: ApiServer;
  let watching = 0;
  let opened = 0;
  beforeAll(async () => {
    api = await apiServer({
      runs: {
        find: async (id) => (id === RUN ? ({ id } as RunView) : null),
        /** Three events, and then it waits for the client to leave. */
        watch: async function* (_id, after, signal) {
          watching += 1;
          opened += 1;
          for (let n = (after ?? 0) + 1; n <= 3; n += 1) yield event(n);
          await rest(60_000, undefined, { signal, ref: false }).catch(() => undefined);
          watching -= 1;
        },
      },
    });
  });
  afterAll(() => api.close());

  const socket = (token: string | null, options: { onClosed?: (code: number) => void } = {}): SocketClient =>
    createClient({
      url: `${api.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      lazy: true,
      ...(token === null ? {} : { connectionParams: { Authorization: `Bearer ${token}` } }),
      on: { closed: (raised) => options.onClosed?.((raised as { code: number }).code) },
    });

  async function take(client: SocketClient, count: number, variables: object): Promise<unknown[]> {
    const items: unknown[] = [];
    for await (const item of client.iterate({
      query: SUBSCRIBE,
      variables: variables as Record<string, unknown>,
    })) {
      items.push(item.data?.['runEvents'] ?? item.errors);
      if (items.length === count) break;
    }
    await client.dispose();
    return items;
  }

  const until = async (holds: () => boolean) => {
    for (const deadline = Date.now() + 5_000; !holds() && Date.now() < deadline;) await rest(10);
    expect(holds()).toBe(true);
  };

  it('bring events by graphql-ws, and end at the source when the client leaves', async () => {
    const items = await take(socket(await api.token('viewer')), 3, { runId: RUN });
    expect(items).toEqual([1, 2, 3].map((sequence) => ({ sequence, kind: 'BATCH' })));
    await until(() => watching === 0);
  });

  it('begin behind the event that was seen last', async () => {
    expect(await take(socket(await api.token('viewer')), 1, { runId: RUN, after: 2 })).toEqual([
      { sequence: 3, kind: 'BATCH' },
    ]);
  });

  it('are closed with 4401 for who has no token or a bad one, before anything opens', async () => {
    for (const token of [null, 'bad']) {
      const codes: number[] = [];
      const before = opened;
      await expect(
        take(socket(token, { onClosed: (code) => codes.push(code) }), 1, { runId: RUN }),
      ).rejects.toBeDefined();
      expect(codes).toEqual([4401]);
      expect(opened).toBe(before);
    }
  });

  it('end when their token expires', async () => {
    const codes: number[] = [];
    const client = socket(await api.token('viewer', 1), { onClosed: (code) => codes.push(code) });
    await expect(take(client, 4, { runId: RUN })).rejects.toBeDefined();
    expect(codes).toEqual([4401]);
    await until(() => watching === 0);
  });

  it('refuse a run that does not exist, with the same words for an id that is none', async () => {
    for (const runId of ['00000000-0000-4000-8000-000000000000', 'nonsense']) {
      const [errors] = await take(socket(await api.token('viewer')), 1, { runId });
      expect(errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    }
  });

  it('serve subscriptions only: limits of other operations cannot be passed by', async () => {
    const client = socket(await api.token('admin'));
    const query = 'mutation { setMaintenanceStop(on: true, reason: "x") { on } }';
    await expect(client.iterate({ query }).next()).rejects.toMatchObject([
      { extensions: { code: 'BAD_REQUEST' } },
    ]);
    await expect(client.iterate({ query: 'subscription { nothing }' }).next()).rejects.toMatchObject([
      { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } },
    ]);
    await client.dispose();
  });

  it('are limited in number for each principal', async () => {
    const client = socket(await api.token('approver'));
    const open = Array.from({ length: 25 }, () =>
      client.iterate({ query: SUBSCRIBE, variables: { runId: RUN } }),
    );
    await Promise.all(open.map((stream) => stream.next()));
    const oneMore = await client.iterate({ query: SUBSCRIBE, variables: { runId: RUN } }).next();
    expect((oneMore.value as { errors?: unknown }).errors).toMatchObject([
      { extensions: { code: 'RATE_LIMITED' } },
    ]);
    await client.dispose();
    await until(() => watching === 0);
    expect(await take(socket(await api.token('approver')), 1, { runId: RUN })).toHaveLength(1);
  });

  const sse = async (client: Client | null, body: object, life?: number) =>
    fetch(`${api.url}/graphql/stream`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        ...(client === null ? {} : { authorization: `Bearer ${await api.token(client, life)}` }),
      },
    });

  it('bring events by graphql-sse, and end at the source when the client leaves', async () => {
    const response = await sse('viewer', { query: SUBSCRIBE, variables: { runId: RUN } });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    let text = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      if (text.includes('"sequence":3')) break;
    }
    expect(text).toContain('event: next\ndata: {"data":{"runEvents":{"sequence":1,"kind":"BATCH"}}}');
    await until(() => watching === 0);
  });

  it('by graphql-sse need a token, and end when it expires', async () => {
    expect((await sse(null, { query: SUBSCRIBE, variables: { runId: RUN } })).status).toBe(401);
    const response = await sse('viewer', { query: SUBSCRIBE, variables: { runId: RUN } }, 1);
    expect(await response.text()).toContain('"sequence":3');
    await until(() => watching === 0);
  });

  it('by graphql-sse refuse other operations and documents that are wrong', async () => {
    for (const query of [
      'mutation { setMaintenanceStop(on: true, reason: "x") { on } }',
      'subscription { nothing }',
      '{',
    ]) {
      const response = await sse('admin', { query });
      expect(response.status).toBe(400);
      expect(await response.json()).toHaveProperty('errors.0.extensions.code');
    }
    expect((await fetch(`${api.url}/graphql/stream`)).status).toBe(405);
  });

  it('do not keep a server from closing', async () => {
    const other = await apiServer({
      runs: {
        find: async () => ({ id: RUN }) as RunView,
        watch: async function* (_id, _after, signal) {
          yield event(1);
          await rest(60_000, undefined, { signal, ref: false }).catch(() => undefined);
        },
      },
    });
    const codes: number[] = [];
    const client = createClient({
      url: `${other.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: { Authorization: `Bearer ${await other.token('viewer')}` },
      on: { closed: (raised) => codes.push((raised as { code: number }).code) },
    });
    await client.iterate({ query: SUBSCRIBE, variables: { runId: RUN } }).next();
    const began = performance.now();
    await other.close();
    expect(performance.now() - began).toBeLessThan(5_000);
    await until(() => codes.length === 1);
    expect(codes).toEqual([1001]);
  });
});
