import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import pg from 'pg';
import { makeLog } from '../../src/log.ts';
import { makeAnalysisUseCases } from '../../src/analysis/analysis-use-cases.ts';
import { systemClock } from '../../src/clock.ts';
import { makeConnect } from '../../src/databases/connect.ts';
import { makeDatabases } from '../../src/databases/database-use-cases.ts';
import { NO_RESULT } from '../../src/domain/run.ts';
import { makePlans } from '../../src/planning/plan-use-cases.ts';
import { listRuns } from '../../src/store/runs.ts';
import { type ApiServer, apiServer } from '../support/api-server.ts';
import { testStore } from '../support/postgres.ts';
import { faultOf, registerRow, snapshotAgo, tableOf } from '../support/registered.ts';

type TestStore = Awaited<ReturnType<typeof testStore>>;

const numbered = (count: number, name: string) => Array.from({ length: count }, (_, i) => `${name}_${i + 1}`);

/** So many databases, each with so many tables and a finding about each. */
async function filledStore(databases: number, tables: number): Promise<TestStore> {
  const control = await testStore();
  const names = numbered(tables, 't');
  for (const name of numbered(databases, 'db')) {
    const id = await registerRow(control.store, name);
    await addRun(control, id);
    for (const daysAgo of [3, 2, 1, 0]) {
      const content = {
        tables: names.map((table) => tableOf(table)),
        faults: names.map((table) => faultOf(table)),
      };
      await snapshotAgo(control.store, id, daysAgo, content);
    }
  }
  return control;
}

/** One run of each database, for a plan of its own. */
async function addRun({ store }: TestStore, databaseId: string): Promise<void> {
  const forecast = { impact: { bytesReclaimed: 7 } };
  const { id: planId } = await store.prisma.plan.create({
    data: {
      kind: 'REINDEX',
      state: 'STARTED',
      hash: 'h',
      databaseId,
      requestedBy: 'ann',
      expiresAt: new Date(),
      needsApproval: false,
      spec: {},
      forecast,
    },
  });
  const result = { ...NO_RESULT, bytesReclaimed: 6 };
  await store.prisma.run.create({
    data: { planId, databaseId, state: 'SUCCEEDED', startedBy: 'ann', throttle: {}, result },
  });
}

function serve({ store }: TestStore): Promise<ApiServer> {
  const base = { store, policy: { hosts: [], embedded: null }, secrets: { env: {}, folders: [], box: null } };
  const analysis = makeAnalysisUseCases({
    store,
    connect: makeConnect(base),
    replicas: async () => [],
    analyses: [],
    clock: systemClock,
    log: makeLog('silent'),
  });
  return apiServer({
    analysis,
    databases: makeDatabases({ ...base, takeFirstSnapshot: analysis.takeSnapshot }),
    plans: makePlans({
      ...base,
      connect: makeConnect(base),
      clock: systemClock,
      archiveStores: new Map(),
      replicas: () => Promise.resolve([]),
    }),
    runs: { list: (query) => listRuns(store, query) },
  });
}

/** The query of the playground's first tab, as it is served. */
async function playgroundOverview(): Promise<string> {
  const script = await readFile(new URL('../../assets/playground/playground.js', import.meta.url), 'utf8');
  const query = /const BLOAT_OVERVIEW = `([^`]+)`/.exec(script)?.[1] ?? '';
  expect(query).toMatch(/databases \{[^]*tables[^]*findings/);
  return query;
}

const ALL_THAT_IS_REMEMBERED = `{
  databases {
    name
    growth { bytesPerDay forecastBytes(days: 90) }
    snapshots(first: 3) { nodes { sizeBytes deadRows } }
    tables(first: 30) {
      nodes {
        name
        findings { title }
        history(first: 2) { totalBytes }
        growth { bytesPerDay }
      }
    }
  }
}`;

describe('the number of SQL statements', () => {
  const sent: string[] = [];
  let few: { store: TestStore; api: ApiServer };
  let many: { store: TestStore; api: ApiServer };

  beforeAll(async () => {
    const [three, thirty] = await Promise.all([filledStore(3, 3), filledStore(30, 30)]);
    few = { store: three, api: await serve(three) };
    many = { store: thirty, api: await serve(thirty) };
    const query = pg.Client.prototype.query as (this: pg.Client, ...args: unknown[]) => unknown;
    jest.spyOn(pg.Client.prototype, 'query').mockImplementation(function (
      this: pg.Client,
      ...args: unknown[]
    ) {
      const [text] = args as [string | { text: string }];
      sent.push(typeof text === 'string' ? text : text.text);
      return query.apply(this, args);
    });
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    for (const { api, store } of [few, many]) {
      await api.close();
      await store.close();
    }
  });
  beforeEach(() => void sent.splice(0));

  const ask = async ({ api }: { api: ApiServer }, query: string) => {
    const { data, errors } = await api.ask('viewer', query);
    expect(errors).toEqual([]);
    return { data: data as { databases: Answer[] }, statements: sent.splice(0) };
  };
  interface Answer {
    readonly growth?: { readonly bytesPerDay: number; readonly forecastBytes: number };
    readonly tables: { readonly nodes: { readonly findings?: unknown[]; readonly history?: unknown[] }[] };
    readonly findings?: { readonly nodes: unknown[] };
  }

  it("of the playground's overview is three, with 3 databases of 3 tables and with 30 of 30", async () => {
    const query = await playgroundOverview();
    const small = await ask(few, query);
    const large = await ask(many, query);
    expect(small.data.databases.map(({ tables }) => tables.nodes.length)).toEqual([3, 3, 3]);
    expect(large.data.databases.map(({ tables }) => tables.nodes.length)).toEqual(Array(30).fill(10));
    expect(large.data.databases.map(({ findings }) => findings?.nodes.length)).toEqual(Array(30).fill(10));
    expect(small.statements).toHaveLength(3);
    expect(large.statements).toHaveLength(3);
  });

  it('of everything that is remembered of them does not depend on how many there are', async () => {
    const small = await ask(few, ALL_THAT_IS_REMEMBERED);
    const large = await ask(many, ALL_THAT_IS_REMEMBERED);
    const nodes = large.data.databases.flatMap(({ tables }) => tables.nodes);
    expect(nodes).toHaveLength(900);
    for (const { findings, history } of nodes) expect([findings?.length, history?.length]).toEqual([1, 2]);
    expect(large.data.databases[0]?.growth).toEqual({ bytesPerDay: 0, forecastBytes: 10_000 });
    expect(large.statements).toHaveLength(7);
    expect(small.statements).toHaveLength(7);
  });
  it('of a list of runs, with what was predicted of each, does not depend on how many there are', async () => {
    const query =
      '{ runs(first: 100) { nodes { plan { database { name } } result { bytesReclaimed bytesReclaimedPredicted } } } }';
    await few.api.ask('viewer', query);
    const ofFew = sent.splice(0);
    const { data, errors } = await many.api.ask('viewer', query);
    expect(errors).toEqual([]);
    const runs = (data as { runs: { nodes: unknown[] } }).runs.nodes;
    expect(runs).toHaveLength(30);
    expect(runs[0]).toMatchObject({ result: { bytesReclaimed: 6, bytesReclaimedPredicted: 7 } });
    expect([ofFew.length, sent.length]).toEqual([4, 4]);
  });
});
