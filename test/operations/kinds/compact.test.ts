import { once } from 'node:events';
import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { IndexIdentity } from '../../../src/domain/plan.ts';
import { interruptLost } from '../../../src/store/leases.ts';
import { testEngine, type TestEngine, STEADY } from '../../support/engine.ts';
import { fingerprintOf } from '../../support/fingerprint.ts';
import { goneForAll } from '../../support/gone-for-all.ts';
import { runThroughKills } from '../../support/kill-workers.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { SHORT_LEASE, spawnWorker } from '../../support/spawn-worker.ts';

const ROWS = 20_000;
/** Three fifths of the rows: from everywhere, or from nearly all of the end. */
const GONE = { scattered: 'id % 5 < 3', 'at the end': `id > ${ROWS * 0.39} AND id <= ${ROWS * 0.99}` };
const SLOW = { ...STEADY, dutyCycle: 0.2, batchRows: 100, batchMs: 2 };

let database: TestDatabase;
let engine: TestEngine;
let clients: pg.Client[];

beforeEach(async () => {
  clients = [];
  database = await testDatabase();
  engine = await testEngine(database, SHORT_LEASE);
  await database.run(`
    CREATE TABLE owner (id int PRIMARY KEY);
    INSERT INTO owner SELECT generate_series(1, 10);
    CREATE TABLE item (
      id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int NOT NULL DEFAULT 0, owner int NOT NULL REFERENCES owner (id),
      note text, body text, twice int GENERATED ALWAYS AS (n * 2) STORED) WITH (autovacuum_enabled = false);
    ALTER TABLE item ALTER body SET STORAGE EXTERNAL;
    INSERT INTO item (owner, note, body)
      SELECT 1 + i % 10, CASE WHEN i % 9 <> 0 THEN repeat('n', i % 120) END, CASE WHEN i % 100 = 0 THEN repeat('b', 3000) END
        FROM generate_series(1, ${ROWS}) AS i;
    CREATE INDEX "Note ""of"" item" ON item (owner, note)`);
});

afterEach(async () => {
  for (const client of clients) await client.end();
  await engine.close();
  await database.drop();
});

async function waste(where: keyof typeof GONE): Promise<void> {
  await database.run(`DELETE FROM item WHERE ${GONE[where]}`);
  await goneForAll(database);
  await database.run('VACUUM ANALYZE item');
}

const indexes = async () =>
  (await database.run(`
    SELECT c.oid::int, n.nspname AS schema, c.relname AS name, i.indisvalid AS valid
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE i.indrelid = 'item'::regclass ORDER BY c.relname`)) as unknown as (IndexIdentity & {
    valid: boolean;
  })[];

/** A rebuild gives an index another oid. */
const validity = async () => (await indexes()).map(({ name, valid }) => ({ name, valid }));

const compaction = async (change: object = {}) =>
  engine.queue(
    { name: 'item' },
    { kind: 'REORGANIZATION', method: 'COMPACT', column: 'owner', indexes: await indexes() },
    change,
  );

/** What does not change while others count up n. */
const constant = () => fingerprintOf(database, 'SELECT id, owner, note, body FROM item');

const sizes = async () => {
  const [row] = await database.run(
    `SELECT pg_relation_size('item')::int AS heap, pg_indexes_size('item')::int AS indexes`,
  );
  return row as { heap: number; indexes: number };
};

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, application_name: 'application' });
  await client.connect();
  clients.push(client);
  return client;
}

/** Counts up n of some row or other until told to stop; answers with how often. Seldom enough for so small a table: each leaves a dead row. */
function application(client: pg.Client, ids: readonly number[], stop: AbortSignal): Promise<number> {
  const write = async () => {
    let updates = 0;
    for (; !stop.aborted; updates++) {
      const { rowCount } = await client.query('UPDATE item SET n = n + 1 WHERE id = $1', [
        ids[(updates * 7_919) % ids.length],
      ]);
      expect(rowCount).toBe(1);
      await rest(10);
    }
    return updates;
  };
  return write();
}

const ids = async () => (await database.run('SELECT id FROM item ORDER BY id')).map(({ id }) => id as number);

async function until(query: string): Promise<void> {
  for (let tries = 0; tries < 2_000; tries++) {
    if ((await database.run(query)).length > 0) return;
    await rest(10);
  }
  throw new Error(`Never came true: ${query}`);
}

/** Its end is cut off. A rebuild keeps dead versions of rows: what an application writes then makes the table grow again. */
async function indexing(over: AbortSignal): Promise<void> {
  await until(BATCHES);
  while (!over.aborted) {
    if ((await database.run(`SELECT FROM declutter.batch WHERE cursor ->> 'phase' = 'INDEXES'`)).length > 0)
      return;
    await rest(20);
  }
}

const BATCHES = `SELECT FROM pg_class WHERE relname = 'batch'`;
const moved = async () => {
  await until(BATCHES);
  await until('SELECT FROM declutter.batch WHERE rows > 0');
};

describe('a compaction', () => {
  it.each(['scattered', 'at the end'] as const)(
    'gives back what VACUUM FULL would, of room that is %s, while others write',
    async (where) => {
      await waste(where);
      const before = await constant();
      const stop = new AbortController();
      const writing = application(await connect(), await ids(), stop.signal);
      const turn = engine.work(await compaction()).finally(() => stop.abort());
      await indexing(stop.signal);
      stop.abort();
      const [updates, run] = [await writing, await turn];
      expect(run).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
      expect(run.progress.rowsDone).toBeGreaterThan(0);
      expect(await constant()).toEqual(before);
      expect(await database.run('SELECT sum(n)::int AS n, sum(twice)::int AS twice FROM item')).toEqual([
        { n: updates, twice: 2 * updates },
      ]);
      const ours = await sizes();
      await database.run('VACUUM FULL item');
      const full = await sizes();
      expect(ours.heap).toBeLessThanOrEqual(1.1 * full.heap);
      expect(ours.indexes).toBeLessThanOrEqual(1.2 * full.indexes);
    },
  );

  it('keeps every row once through kills with -9, and leaves no index half built', async () => {
    await waste('scattered');
    const before = await fingerprintOf(database, 'SELECT * FROM item');
    const original = await validity();
    const runId = await compaction({ throttle: SLOW });
    await runThroughKills({ database, engine }, runId);
    expect(await fingerprintOf(database, 'SELECT * FROM item')).toEqual(before);
    expect(await validity()).toEqual(original);
    const { heap } = await sizes();
    await database.run('VACUUM FULL item');
    expect(heap).toBeLessThanOrEqual(1.1 * (await sizes()).heap);
  }, 120_000);

  it('ends after its batch when it is cancelled, with every row in one place', async () => {
    await waste('scattered');
    const before = await fingerprintOf(database, 'SELECT * FROM item');
    const original = await validity();
    const runId = await compaction({ throttle: SLOW });
    const turn = engine.work(runId);
    await moved();
    await engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'CANCELLING' } });
    expect(await turn).toMatchObject({ state: 'CANCELLED' });
    expect(await fingerprintOf(database, 'SELECT * FROM item')).toEqual(before);
    expect(await validity()).toEqual(original);
  });

  it('drops an index half built by a worker that was killed, before it is cancelled', async () => {
    const original = await validity();
    const reader = await connect();
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
    const runId = await compaction();
    const worker = await spawnWorker({ database, engine });
    await until(`SELECT FROM pg_class WHERE relname LIKE '%\\_ccnew'`);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    await reader.query('COMMIT');
    await engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'CANCELLING' } });
    for (let tries = 0; tries < 200 && (await interruptLost(engine.deps.store)) === 0; tries++)
      await rest(100);
    expect(await engine.work(runId)).toMatchObject({ state: 'CANCELLED' });
    expect(await validity()).toEqual(original);
  }, 60_000);

  it('waits for nobody who has locked the table, lets readers through, names the holder, and goes on later', async () => {
    await waste('scattered');
    const holder = await connect();
    const { rows } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await holder.query('BEGIN; LOCK TABLE item IN SHARE MODE');
    const runId = await compaction();
    const turn = engine.work(runId);
    const reader = await connect();
    await reader.query(`SET statement_timeout = '1s'`);
    await until(`SELECT FROM pg_locks WHERE relation = 'item'::regclass AND NOT granted`);
    expect((await reader.query('SELECT count(*) > 0 AS read FROM item')).rows).toEqual([{ read: true }]);
    expect(await turn).toMatchObject({
      state: 'PAUSED',
      stateCode: 'LOCKED',
      stateReason: expect.stringContaining(`pid ${rows[0]!.pid} (application`),
    });
    await holder.query('COMMIT');
    await engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'QUEUED' } });
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
  }, 60_000);

  it('leaves a locked row to its holder, whom it names when the end cannot be given back, and goes on later', async () => {
    await waste('scattered');
    const before = await sizes();
    const holder = await connect();
    const { rows } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await holder.query('BEGIN; SELECT FROM item WHERE id = (SELECT max(id) FROM item) FOR UPDATE');
    const runId = await compaction();
    expect(await engine.work(runId)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'LOCKED',
      stateReason: expect.stringContaining(`pid ${rows[0]!.pid} (application`),
    });
    await holder.query('COMMIT');
    await goneForAll(database);
    await engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'QUEUED' } });
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await sizes()).heap).toBeLessThan(before.heap / 2);
  }, 90_000);
});
