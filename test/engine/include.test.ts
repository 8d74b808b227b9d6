import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OperationSpec } from '../../src/domain/plan.ts';
import { requireRun } from '../../src/store/runs.ts';
import { FAST, testEngine, type TestEngine, STEADY } from '../support/engine.ts';
import { until } from '../support/fault-scene.ts';
import { runThroughKills } from '../support/kill-workers.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { SHORT_LEASE } from '../support/spawn-worker.ts';

/** Every way to reference: plain, RESTRICT, CASCADE, two ways to one row, a tree, a circle of two tables, SET NULL, SET DEFAULT. */
const SCHEMA = `
  CREATE TABLE customers (id int PRIMARY KEY, old boolean, referred_by int REFERENCES customers, last_order int);
  CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE RESTRICT);
  ALTER TABLE customers ADD FOREIGN KEY (last_order) REFERENCES orders;
  CREATE TABLE lines (id int PRIMARY KEY, "order" int REFERENCES orders ON DELETE CASCADE, customer int REFERENCES customers);
  CREATE TABLE "Line notes" (id int PRIMARY KEY, line int REFERENCES lines);
  CREATE TABLE tasks (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE SET NULL, line int DEFAULT 4 REFERENCES lines ON DELETE SET DEFAULT);
  INSERT INTO customers SELECT i, i % 4 = 1, CASE WHEN i % 4 = 2 AND i > 500 THEN i - 1 WHEN i > 1 THEN (i - 1) / 4 * 4 + 1 END FROM generate_series(1, 1000) i;
  UPDATE customers SET referred_by = NULL WHERE id % 4 = 0 OR id % 4 = 3 OR (id % 4 = 2 AND id <= 500) OR referred_by = id;
  INSERT INTO orders SELECT i, i % 1000 + 1 FROM generate_series(1, 2000) i;
  UPDATE customers c SET last_order = (SELECT max(id) FROM orders o WHERE o.customer = c.id);
  INSERT INTO lines SELECT i, i % 2000 + 1, CASE WHEN i % 11 = 0 THEN i % 1000 + 1 END FROM generate_series(1, 4000) i;
  INSERT INTO "Line notes" SELECT i, i FROM generate_series(1, 4000, 3) i;
  INSERT INTO tasks SELECT i, i, i FROM generate_series(1, 1000) i;
  CREATE INDEX ON customers (referred_by); CREATE INDEX ON customers (last_order); CREATE INDEX ON orders (customer); CREATE INDEX ON lines ("order"); CREATE INDEX ON lines (customer);
  CREATE INDEX ON "Line notes" (line); CREATE INDEX ON tasks (customer); CREATE INDEX ON tasks (line); ANALYZE;`;

/** What a DELETE would have to take along, by a way of its own: rounds until nothing is added. */
const EXPECT = `
  CREATE TABLE gone AS SELECT 'customers' AS t, id FROM customers WHERE old;
  DO $do$ DECLARE n int := 1; BEGIN WHILE n > 0 LOOP
    INSERT INTO gone
      SELECT 'customers', id FROM customers WHERE referred_by IN (SELECT id FROM gone WHERE t = 'customers') OR last_order IN (SELECT id FROM gone WHERE t = 'orders')
      UNION SELECT 'orders', id FROM orders WHERE customer IN (SELECT id FROM gone WHERE t = 'customers')
      UNION SELECT 'lines', id FROM lines WHERE "order" IN (SELECT id FROM gone WHERE t = 'orders') OR customer IN (SELECT id FROM gone WHERE t = 'customers')
      UNION SELECT 'Line notes', id FROM "Line notes" WHERE line IN (SELECT id FROM gone WHERE t = 'lines')
      EXCEPT SELECT t, id FROM gone;
    GET DIAGNOSTICS n = ROW_COUNT; END LOOP; END $do$;`;

const LEFT = `SELECT 'customers' AS t, id FROM customers UNION ALL SELECT 'orders', id FROM orders UNION ALL SELECT 'lines', id FROM lines UNION ALL SELECT 'Line notes', id FROM "Line notes"`;

const PURGE: OperationSpec = {
  kind: 'PURGE',
  filter: { column: 'old', op: 'EQ', value: 'true' },
  dependents: 'INCLUDE',
  pick: 'HEAP_RANGES',
};

let database: TestDatabase;
let engine: TestEngine;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database, SHORT_LEASE);
  await database.run(`${SCHEMA}${EXPECT}`);
  await database.run(`CREATE TABLE was AS ${LEFT}`);
});

afterEach(async () => {
  await engine.close();
  await database.drop();
});

const one = async (query: string) => (await database.run(query))[0]?.['n'];

/** Rows that went and should not have, or stayed and should not have. */
const wrong = () =>
  one(`SELECT (SELECT count(*) FROM (SELECT * FROM was EXCEPT SELECT * FROM gone EXCEPT (${LEFT})) x)::int
            + (SELECT count(*) FROM ((${LEFT}) INTERSECT SELECT * FROM gone) y)::int AS n`);

/** Chosen customers that are still there, without something that referenced them. */
const parted = () =>
  one(`SELECT count(*)::int AS n FROM customers c WHERE old AND (
         (SELECT count(*) FROM orders o WHERE o.customer = c.id) <> 2
         OR EXISTS (SELECT FROM was w WHERE w.t = 'orders' AND w.id % 1000 + 1 = c.id AND NOT EXISTS (SELECT FROM orders o WHERE o.id = w.id)))`);

describe('a purge that takes along what references its rows', () => {
  it('deletes exactly the whole closure, and PostgreSQL sets the references of the others', async () => {
    const gone = (await one('SELECT count(*)::int AS n FROM gone')) as number;
    expect(gone).toBeGreaterThan(2_000);
    const lost = await one(
      `SELECT count(*)::int AS n FROM tasks WHERE line IN (SELECT id FROM gone WHERE t = 'lines')`,
    );
    const runId = await engine.queue({ name: 'customers' }, PURGE, { throttle: FAST });
    const run = await engine.work(runId);
    expect([run.state, run.stateReason, run.result.rowsDeleted]).toEqual(['SUCCEEDED', null, gone]);
    expect(await wrong()).toBe(0);
    expect(await one(`SELECT count(*)::int AS n FROM tasks WHERE customer IS NULL`)).toBe(
      await one(`SELECT count(*)::int AS n FROM gone WHERE t = 'customers'`),
    );
    expect(await one(`SELECT count(*)::int AS n FROM tasks WHERE line = 4 AND id <> 4`)).toBe(lost);
    expect(run.progress.batches).toBeGreaterThan(0);
  }, 120_000);

  it('leaves no chosen row without what referenced it, when its worker is killed with -9 and when it is cancelled', async () => {
    const throttle = { ...STEADY, dutyCycle: 0.3, batchRows: 20, batchMs: 2 };
    const runId = await engine.queue({ name: 'customers' }, PURGE, { throttle });
    const partedAfter: unknown[] = [];
    await runThroughKills({ database, engine }, runId, {
      span: 4,
      afterKill: async () => void partedAfter.push(await parted()),
    });
    expect(partedAfter).toEqual([0, 0, 0]);
    expect(await wrong()).toBe(0);
    const gone = await one('SELECT count(*)::int AS n FROM gone');
    expect((await requireRun(engine.deps.store, runId)).result.rowsDeleted).toBe(gone);
  }, 300_000);

  it('can be cancelled between batches', async () => {
    const throttle = { ...STEADY, dutyCycle: 0.02, batchRows: 50, batchMs: 2 };
    const runId = await engine.queue({ name: 'customers' }, PURGE, { throttle });
    const working = engine.work(runId);
    await until(engine, runId, ({ progress }) => progress.rowsDone > 0);
    await engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'CANCELLING' } });
    expect((await working).state).toBe('CANCELLED');
    expect(await one('SELECT count(*)::int AS n FROM customers WHERE old')).toBeGreaterThan(0);
    expect(await parted()).toBe(0);
  }, 120_000);

  it('takes along a child that comes meanwhile, and refuses one that comes later', async () => {
    const other = await database.session({ readOnly: false });
    await other.script(`BEGIN; INSERT INTO orders VALUES (9001, 1)`); // holds customer 1 until it commits
    const runId = await engine.queue({ name: 'customers' }, PURGE, { throttle: FAST });
    const working = engine.work(runId);
    await sleep(1_000);
    await other.script('COMMIT');
    expect((await working).state).toBe('SUCCEEDED');
    expect(await one('SELECT count(*)::int AS n FROM orders WHERE id = 9001')).toBe(0);
    await expect(other.script('INSERT INTO orders VALUES (9002, 1)')).rejects.toMatchObject({
      sqlstate: '23503',
    });
    await other.close();
  }, 120_000);

  it('stops with nothing of the batch gone when a trigger keeps a row, or a table references it that was not planned', async () => {
    await database.run(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      UPDATE customers SET last_order = NULL WHERE id = 5;
      CREATE TRIGGER keep BEFORE DELETE ON customers FOR EACH ROW WHEN (OLD.id = 5) EXECUTE FUNCTION keep()`);
    const kept = await engine.work(await engine.queue({ name: 'customers' }, PURGE, { throttle: FAST }));
    expect([kept.state, kept.stateCode]).toEqual(['PAUSED', 'ROWS_KEPT']);
    expect(await parted()).toBe(0);
    await engine.deps.store.prisma.runTable.deleteMany();
    await database.run('DROP TRIGGER keep ON customers');
    const left = await one('SELECT count(*)::int AS n FROM customers WHERE old');
    const runId = await engine.queue({ name: 'customers' }, PURGE, { throttle: FAST });
    await database.run('CREATE TABLE late (line int REFERENCES lines)');
    const drifted = await engine.work(runId);
    expect([drifted.state, drifted.stateCode]).toEqual(['PAUSED', 'SCHEMA_DRIFT']);
    expect(await one('SELECT count(*)::int AS n FROM customers WHERE old')).toBe(left);
  }, 120_000);

  it('takes a row with more dependents than a batch may have, and says so when there are too many', async () => {
    await database.run(
      "INSERT INTO orders SELECT i, 1 FROM generate_series(10000, 11999) i; ANALYZE orders; INSERT INTO gone SELECT 'orders', id FROM orders WHERE id >= 10000",
    );
    const runId = await engine.queue({ name: 'customers' }, PURGE, { throttle: { ...FAST, batchRows: 500 } });
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await wrong()).toBe(0);
  }, 120_000);
});
