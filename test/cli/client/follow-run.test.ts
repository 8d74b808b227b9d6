import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { buildSchema, type GraphQLSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import { apiClient } from '../../../src/cli/client/api-client.ts';
import { runEvents } from '../../../src/cli/client/follow-run.ts';

const TOKEN = { token: 'good' };

type Subscribe = (after: number | null, drop: () => void) => AsyncGenerator<number>;

let server: WebSocketServer | null = null;
afterEach(() => server?.close());

/** A server that knows nothing but the subscription runEvents; its numbers become events. */
async function serve(subscribe: Subscribe): Promise<string> {
  const drop = () => server?.clients.forEach((socket) => socket.terminate());
  server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/graphql' });
  useServer(
    {
      schema: schemaWith(async function* (after) {
        for await (const sequence of subscribe(after, drop)) {
          yield { runEvents: { sequence, at: new Date(0), kind: 'PROGRESS', message: '', data: {} } };
        }
      }),
      onConnect: ({ connectionParams }) => connectionParams?.['authorization'] === 'Bearer good',
    },
    server,
  );
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function schemaWith(subscribe: (after: number | null) => AsyncGenerator<object>): GraphQLSchema {
  const schema = buildSchema(readFileSync('schema.graphql', 'utf8'));
  const field = schema.getSubscriptionType()?.getFields()['runEvents'];
  if (!field) throw new Error('schema.graphql has no runEvents');
  field.subscribe = (_source, args: { after?: number | null }) => subscribe(args.after ?? null);
  return schema;
}

async function sequencesOf(url: string, credentials = TOKEN): Promise<number[]> {
  const sequences: number[] = [];
  for await (const event of runEvents(apiClient({ url, credentials }), 'a-run', null))
    sequences.push(event.sequence);
  return sequences;
}

describe('the events of a run', () => {
  it('come each once, though the connection is lost twice', async () => {
    const asked: (number | null)[] = [];
    const url = await serve(async function* (after, drop) {
      asked.push(after);
      for (let sequence = (after ?? 0) + 1; sequence <= 5; sequence += 1) {
        yield sequence;
        if (sequence < 5 && sequence % 2 === 0) drop();
      }
    });
    expect(await sequencesOf(url)).toEqual([1, 2, 3, 4, 5]);
    expect(asked).toEqual([null, 2, 4]);
  }, 15_000);

  it('end when the server says that the run has ended', async () => {
    const url = await serve(async function* () {
      yield 1;
    });
    expect(await sequencesOf(url)).toEqual([1]);
  });

  it('are not asked for again when the server refuses', async () => {
    let connections = 0;
    const url = await serve(async function* () {
      yield 1;
    });
    server?.on('connection', () => (connections += 1));
    await expect(sequencesOf(url, { token: 'bad' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(connections).toBe(1);
  });
});
