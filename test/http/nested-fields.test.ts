import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import type { Bloat } from '../../src/domain/finding.ts';
import type { DatabaseView, FindingView, PlanView, RunView, TableView } from '../../src/graphql/views.ts';
import { type ApiServer, apiServer, type Client } from '../support/api-server.ts';

const ID = '6f1c2a52-6c2c-4a6b-9d34-0d8b3f0a7c11';
const bloat: Bloat = {
  verdict: 'HEALTHY',
  wastedBytes: 0,
  ratio: 0,
  method: 'STATISTICS',
  causes: [],
  advice: 'Nothing.',
};
const measured: Bloat = { ...bloat, method: 'SCAN' };
const index = {
  name: 'orders_pkey',
  definition: 'd',
  sizeBytes: 1,
  scans: 1,
  lastScanAt: null,
  isUnique: true,
  isPrimary: true,
  isValid: true,
  bloat,
};
const tableOf = (name: string) =>
  ({ schema: 'public', name, liveRows: 1, deadRows: 0, bloat, indexes: [index] }) as unknown as TableView;
const planOf = (id: string) =>
  ({ id, databaseId: 'd1', forecast: { sample: ['{"id":9007199254740993}'] } }) as unknown as PlanView;
const FINDINGS = [
  ['f1', 'orders'],
  ['f2', 'orders'],
  ['f3', 'events'],
].map(([id, table]) => ({ id, schema: 'public', table }) as FindingView);
const pageOf = <T>(nodes: T[]) => ({
  edges: nodes.map((node, i) => ({ node, cursor: `c${i}` })),
  hasNextPage: false,
  hasPreviousPage: false,
});

describe('nested fields', () => {
  let api: ApiServer;
  const calls: string[] = [];
  const called = <T>(name: string, value: T): T => {
    calls.push(name);
    return value;
  };
  beforeAll(async () => {
    const shop = { id: 'd1', name: 'shop' } as DatabaseView;
    api = await apiServer({
      databases: { list: async () => called('databases.list', [shop]), find: async () => shop },
      analysis: {
        tables: async () => pageOf([tableOf('orders'), tableOf('lines'), tableOf('events')]),
        table: async (_database, _schema, name) => tableOf(name),
        tableBloat: async () => called('tableBloat', measured),
        indexBloat: async () => called('indexBloat', measured),
        tableDuplicates: async (_database, { key }) =>
          called('tableDuplicates', {
            rows: key.length,
            keys: 1,
            largest: 2,
            rowsLookedAt: 3,
            method: 'COUNT' as const,
            detail: key.map((part) => `${part.column} ${part.ignoreCase} ${part.trim}`).join(),
          }),
        tableFindings: async (_database, _schema, table) => FINDINGS.filter((found) => found.table === table),
      },
      plans: {
        find: async (id) => called('plans.find', planOf(id)),
        list: async () => pageOf(['a', 'b', 'c'].map(planOf)),
      },
      runs: { list: async () => pageOf(['r1', 'r2', 'r3'].map((id) => ({ id, planId: ID }) as RunView)) },
    });
  });
  afterAll(() => api.close());
  beforeEach(() => void calls.splice(0));

  it('look up a database once, however many plans have it', async () => {
    const { data } = await api.ask('viewer', '{ plans { nodes { id database { name } } } }');
    expect(data).toEqual({
      plans: { nodes: ['a', 'b', 'c'].map((id) => ({ id, database: { name: 'shop' } })) },
    });
    expect(calls).toEqual(['databases.list']);
  });

  it('look up a plan once, however many runs have it', async () => {
    const { data } = await api.ask('viewer', '{ runs { nodes { plan { id } } } }');
    expect(data).toEqual({ runs: { nodes: Array(3).fill({ plan: { id: ID } }) } });
    expect(calls).toEqual(['plans.find']);
  });

  it('give each table its own findings', async () => {
    const { data } = await api.ask(
      'viewer',
      '{ database(name: "shop") { tables { nodes { name findings { id } } } } }',
    );
    expect(data).toMatchObject({
      database: {
        tables: {
          nodes: [
            { name: 'orders', findings: [{ id: 'f1' }, { id: 'f2' }] },
            { name: 'lines', findings: [] },
            { name: 'events', findings: [{ id: 'f3' }] },
          ],
        },
      },
    });
  });

  const codes = async (client: Client, query: string) =>
    (await api.ask(client, query)).errors.map(({ extensions }) => extensions['code']);

  it('show rows to operators alone', async () => {
    const query = `{ plan(id: "${ID}") { sample } }`;
    expect(await codes('viewer', query)).toEqual(['FORBIDDEN']);
    expect(await codes('approver', query)).toEqual(['FORBIDDEN']);
    expect((await api.ask('operator', query)).data).toEqual({
      plan: { sample: [{ id: '9007199254740993' }] },
    });
  });

  it('estimate for everybody, and measure for operators alone', async () => {
    const query = (exact: boolean) =>
      `{ table(database: "shop", name: "orders") { bloat(exact: ${exact}) { method } indexes { bloat(exact: ${exact}) { method } } } }`;
    const answer = (method: string) => ({ table: { bloat: { method }, indexes: [{ bloat: { method } }] } });
    expect((await api.ask('viewer', query(false))).data).toEqual(answer('STATISTICS'));
    expect(calls).toEqual([]);
    expect(await codes('viewer', query(true))).toContain('FORBIDDEN');
    expect(calls).toEqual([]);
    expect((await api.ask('operator', query(true))).data).toEqual(answer('SCAN'));
  });

  it('count duplicates of a key for operators alone, and at the price of reading rows', async () => {
    const query = (tables: string) =>
      `{ ${tables} { duplicates(key: [{ column: "email", ignoreCase: true }]) { rows method detail } } }`;
    const one = query('table(database: "shop", name: "orders")');
    expect(await codes('viewer', one)).toEqual(['FORBIDDEN']);
    expect(await codes('approver', one)).toEqual(['FORBIDDEN']);
    expect(calls).toEqual([]);
    expect((await api.ask('operator', one)).data).toEqual({
      table: { duplicates: { rows: 1, method: 'COUNT', detail: 'email true false' } },
    });
    const many = query('database(name: "shop") { tables(first: 100) { nodes') + ' } }';
    expect(await codes('operator', many)).toEqual(['BAD_USER_INPUT']);
    expect(calls).toEqual(['tableDuplicates']);
  });

  it('of a stream are not even opened without the right to read', async () => {
    const watched: string[] = [];
    const principal = { subject: 'p', clientId: 'p', roles: [], isMachine: true, mayApprove: false };
    const other = await apiServer(
      { runs: { find: async (id) => ({ id: watched[watched.push(id) - 1] }) as RunView } },
      {
        authenticate: async () => ({
          principal,
          permissions: new Set(['plan'] as const),
          expiresAt: new Date(Date.now() + 60_000),
        }),
      },
    );
    const client = createClient({
      url: `${other.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: { Authorization: 'Bearer x' },
    });
    const stream = client.iterate({ query: `subscription { runEvents(runId: "${ID}") { kind } }` });
    expect(await stream.next()).toMatchObject({ value: { errors: [{ extensions: { code: 'FORBIDDEN' } }] } });
    expect(watched).toEqual([]);
    await client.dispose();
    await other.close();
  });
});
