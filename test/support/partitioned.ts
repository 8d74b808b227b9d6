import { makePlans } from '../../src/planning/plan-use-cases.ts';
import { createRun, type RunView } from '../../src/store/runs.ts';
import type { PlanView } from '../../src/store/plans.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { fingerprintOf } from './fingerprint.ts';
import { FAST, testEngine, type TestEngine } from './engine.ts';
import type { Version } from './installations.ts';
import { testDatabase, type TestDatabase } from './postgres.ts';
import { SHORT_LEASE } from './spawn-worker.ts';

export const BY: Principal = {
  subject: 'olga',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: true,
};

export interface PartitionedScene {
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  readonly plans: ReturnType<typeof makePlans>;
  /** Plans go on as they are, without rest. */
  queue(plan: PlanView): Promise<string>;
  run(plan: PlanView): Promise<RunView>;
  count(query: string): Promise<number>;
  all(table?: string): Promise<unknown>;
  close(): Promise<void>;
}

/** Plans and runs by the same control store. */
export async function partitionedScene(version?: Version): Promise<PartitionedScene> {
  const database = await testDatabase(version);
  const engine = await testEngine(database, SHORT_LEASE);
  const queue = async (plan: PlanView) => {
    if (plan.state !== 'READY') throw new Error(JSON.stringify(plan.forecast.blockers));
    const spec = { ...plan.spec, throttle: FAST };
    const idempotency = { principal: 'test', key: plan.id, request: plan.id };
    return createRun(engine.deps.store, {
      planId: plan.id,
      databaseId: plan.databaseId,
      startedBy: 'test',
      spec,
      idempotency,
    });
  };
  return {
    database,
    engine,
    plans: makePlans({ ...engine.deps, replicas: () => Promise.resolve([]) }),
    queue,
    run: async (plan) => engine.work(await queue(plan)),
    count: async (query) => Number((await database.run(query))[0]?.['n']),
    all: (table = 'event') => fingerprintOf(database, `SELECT * FROM ${table}`),
    close: async () => {
      await engine.close();
      await database.drop();
    },
  };
}

/** Twelve months by day of 2020, a thousand rows each, with the columns of one partition in another order. */
export const EVENTS = `
  CREATE TABLE event (id int GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, kind text, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  DO $$ BEGIN FOR m IN 1..11 LOOP EXECUTE format('CREATE TABLE event_%s PARTITION OF event FOR VALUES FROM (%L) TO (%L)',
    lpad(m::text, 2, '0'), make_date(2020, m, 1), make_date(2020, m + 1, 1)); END LOOP; END $$;
  CREATE TABLE event_12 (note text, kind text, gone int, at timestamptz NOT NULL, id int NOT NULL);
  ALTER TABLE event_12 DROP COLUMN gone;
  ALTER TABLE event ATTACH PARTITION event_12 FOR VALUES FROM ('2020-12-01') TO ('2021-01-01');
  INSERT INTO event (at, kind, note) SELECT timestamptz '2020-01-01 UTC' + i * interval '43 minutes', 'k' || i % 3, repeat('x', i % 90) FROM generate_series(0, 12200) i;
  ANALYZE event;`;
