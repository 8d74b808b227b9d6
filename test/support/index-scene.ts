import { once } from 'node:events';
import pg from 'pg';
import type { Replica } from '../../src/analysis/read-replicas.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { makeRunControl } from '../../src/engine/control-run.ts';
import { makePlans } from '../../src/planning/plan-use-cases.ts';
import { eventsAfter } from '../../src/store/run-events.ts';
import { createRun, findRunByPlan, type RunView } from '../../src/store/runs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { loseLease } from './fault-scene.ts';
import { testEngine, type TestEngine } from './engine.ts';
import { type TestDatabase, testDatabase } from './postgres.ts';
import { endOf, spawnTurn } from './spawn-worker.ts';

export const BY: Principal = {
  subject: 'olga',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: true,
};

const FASTER = 10;

/** Everything that the engine waits for comes ten times as soon. */
export const FAST_CLOCK: Clock = {
  now: () => new Date(),
  monotonicMs: () => systemClock.monotonicMs() * FASTER,
  sleep: (ms, signal) => systemClock.sleep(ms / FASTER, signal),
};

/** In a month, when the counters of a server that was started now are old enough. */
const LATER: Clock = { ...systemClock, now: () => new Date(Date.now() + 30 * 86_400_000) };

export const LONG_LEASE = { leaseMs: 600_000, heartbeatMs: 1_000 };

export interface IndexScene {
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  readonly plans: ReturnType<typeof makePlans>;
  readonly replicas: Replica[];
  queue(plan: PlanView): Promise<string>;
  run(plan: PlanView): Promise<RunView>;
  /** Another turn, by this process. */
  work(runId: string): Promise<RunView>;
  resume(runId: string): Promise<RunView>;
  cancel(runId: string): Promise<void>;
  /** A turn in a process of its own, which is killed once the query has rows; meanwhile: what somebody does as it begins. */
  killed(runId: string, seen: string, meanwhile: string): Promise<pg.Client>;
  runOf(plan: PlanView): Promise<string>;
  takeOver(runId: string): Promise<RunView>;
  /** Until the query has rows; a wait without end fails by the time limit of the test. */
  until(query: string): Promise<void>;
  /** A session that has run these statements and does no more. */
  session(sql: string): Promise<pg.Client>;
  /** What the run has told, by kind. */
  told(runId: string, kind: string): Promise<string[]>;
  indexes(table: string): Promise<IndexRow[]>;
  close(): Promise<void>;
}

export interface IndexRow {
  readonly name: string;
  readonly definition: string;
  readonly valid: boolean;
  readonly comment: string | null;
}

/** Plans and runs by the same control store, with an engine that does not wait for long. */
export async function indexScene(given?: TestDatabase, engineGiven?: TestEngine): Promise<IndexScene> {
  const database = given ?? (await testDatabase());
  const engine = engineGiven ?? (await testEngine(database, LONG_LEASE));
  const replicas: Replica[] = [];
  const clients: pg.Client[] = [];
  const { store } = engine.deps;
  const control = makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } });
  const work = (runId: string) => engine.work(runId, undefined, { clock: FAST_CLOCK });
  const queue = async ({ id, databaseId, spec, state, forecast }: PlanView) => {
    if (state !== 'READY') throw new Error(JSON.stringify(forecast.blockers));
    const idempotency = { principal: 'test', key: id, request: id };
    return createRun(store, { planId: id, databaseId, startedBy: 'test', spec, idempotency });
  };
  const until = async (query: string) => {
    while ((await database.run(query)).length === 0) await systemClock.sleep(20);
  };
  const session = async (sql: string) => {
    const client = new pg.Client({ connectionString: database.url, application_name: 'somebody' });
    clients.push(client);
    await client.connect();
    await client.query(sql);
    return client;
  };
  return {
    database,
    engine,
    replicas,
    plans: makePlans({ ...engine.deps, clock: LATER, replicas: () => Promise.resolve(replicas) }),
    queue,
    run: async (plan) => work(await queue(plan)),
    work,
    resume: async (runId) => {
      await control.resume(runId, BY);
      return work(runId);
    },
    cancel: async (runId) => void (await control.cancel(runId, null, BY)),
    runOf: async ({ id }) => (await findRunByPlan(store, id))?.id ?? '',
    killed: async (runId, seen, meanwhile) => {
      const turn = await spawnTurn({ database, engine }, runId, { times: LONG_LEASE });
      await once(turn.stdout as NodeJS.ReadableStream, 'data');
      const client = await session(meanwhile);
      await until(seen);
      turn.kill('SIGKILL');
      await endOf(turn);
      return client;
    },
    takeOver: async (runId) => {
      await loseLease(engine, runId);
      return work(runId);
    },
    until,
    session,
    told: async (runId, kind) =>
      (await eventsAfter(store, runId, 0, 1_000)).flatMap((event) =>
        event.kind === kind ? [event.message] : [],
      ),
    indexes: async (table) =>
      (await database.run(`
        SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition, i.indisvalid AND i.indisready AND i.indislive AS valid,
               obj_description(c.oid) AS comment
          FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = '${table}'::regclass ORDER BY c.relname`)) as unknown as IndexRow[],
    close: async () => {
      await Promise.all(clients.map((client) => client.end()));
      await engine.close();
      await database.drop();
    },
  };
}

export const pidOf = (client: pg.Client): number => (client as unknown as { processID: number }).processID;

export const codesOf = ({ forecast }: PlanView): string[] => forecast.blockers.map(({ code }) => code);
