import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { makeRunControl } from '../../../src/engine/control-run.ts';
import { BY, indexScene, LONG_LEASE, pidOf } from '../../support/index-scene.ts';
import { testEngine, type TestEngine } from '../../support/engine.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

const INDEXES = `
  SELECT c.oid::int, n.nspname AS schema, c.relname AS name, c.relfilenode::text AS file, pg_relation_size(c.oid)::int AS bytes,
         pg_get_indexdef(c.oid) AS definition, i.indisvalid AS valid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE i.indrelid = 'item'::regclass ORDER BY c.relname`;

const HALF_BUILT = `
  SELECT FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'
     AND EXISTS (SELECT FROM pg_class WHERE relname LIKE '%\\_ccnew')`;

interface IndexRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
  readonly definition: string;
  readonly valid: boolean;
}

describe('a reindex', () => {
  let database: TestDatabase;
  let engine: TestEngine;

  beforeEach(async () => {
    database = await testDatabase();
    engine = await testEngine(database, LONG_LEASE);
    await database.run(`
      CREATE TABLE item (id int PRIMARY KEY, note text);
      CREATE INDEX "Note ""of"" item" ON item (note);
      INSERT INTO item SELECT i, 'note ' || i FROM generate_series(1, 20000) AS i;
      UPDATE item SET note = note || '!';
      DELETE FROM item WHERE id % 10 <> 0`);
    await database.run('VACUUM item');
  });

  afterEach(async () => {
    await engine.close();
    await database.drop();
  });

  const indexes = async () => (await database.run(INDEXES)) as unknown as IndexRow[];

  it('builds each named index anew, smaller and with the same definition', async () => {
    const before = await indexes();
    const run = await engine.work(await engine.queue({ name: 'item' }, { kind: 'REINDEX', indexes: before }));
    const after = await indexes();
    expect(run).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
    expect(after.map(({ name, definition, valid }) => ({ name, definition, valid }))).toEqual(
      before.map(({ name, definition }) => ({ name, definition, valid: true })),
    );
    expect(after).toHaveLength(2);
    after.forEach((index, i) => {
      expect(index.file).not.toBe(before[i]!.file);
      expect(index.bytes).toBeLessThan(before[i]!.bytes / 2);
    });
  });

  it('is done once, though the control store does not take the word that it is', async () => {
    const { prisma } = engine.deps.store;
    await prisma.$executeRawUnsafe(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'away'; END $$`,
    );
    await prisma.$executeRawUnsafe(
      `CREATE TRIGGER refuse BEFORE INSERT ON run_event FOR EACH ROW WHEN (NEW.kind = 'STATEMENT_DONE') EXECUTE FUNCTION refuse()`,
    );
    const runId = await engine.queue({ name: 'item' }, { kind: 'REINDEX', indexes: await indexes() });
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
    expect(await database.run('SELECT cursor FROM declutter.batch ORDER BY number')).toEqual([
      { cursor: 1 },
      { cursor: 2 },
    ]);
    expect(
      await prisma.runEvent.findMany({
        where: { runId, kind: { in: ['STATEMENT', 'STATEMENT_DONE'] } },
        orderBy: { sequence: 'asc' },
        select: { kind: true },
      }),
    ).toEqual([{ kind: 'STATEMENT' }, { kind: 'STATEMENT' }]);
  });

  it('leaves nothing behind when its worker is stopped in the middle, and goes on later', async () => {
    const before = await indexes();
    const runId = await engine.queue({ name: 'item' }, { kind: 'REINDEX', indexes: before.slice(0, 1) });
    const reader = await openOldSnapshot(database.url);
    const stopping = new AbortController();
    const turn = engine.work(runId, stopping.signal);
    await untilHalfBuilt();
    stopping.abort();
    expect(await turn).toMatchObject({ state: 'INTERRUPTED', stateCode: 'WORKER_STOPPED' });
    expect(await indexes()).toEqual(before);

    await reader.end();
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    const after = await indexes();
    expect(after.map(({ name, valid }) => ({ name, valid }))).toEqual(
      before.map(({ name }) => ({ name, valid: true })),
    );
    expect(after[0]!.file).not.toBe(before[0]!.file);
  });

  it('leaves nothing behind when it is cancelled in the middle', async () => {
    const before = await indexes();
    const runId = await engine.queue({ name: 'item' }, { kind: 'REINDEX', indexes: before.slice(0, 1) });
    const reader = await openOldSnapshot(database.url);
    const turn = engine.work(runId);
    await untilHalfBuilt();
    await control().cancel(runId, null, BY);
    expect(await turn).toMatchObject({ state: 'CANCELLED' });
    expect(await indexes()).toEqual(before);
    await reader.end();
  });

  it('drops what rebuilds have left behind, numbered or with a cut name, and tells of it', async () => {
    const long = 'x'.repeat(60);
    await database.run(`ALTER INDEX "Note ""of"" item" RENAME TO ${long}`);
    const reader = await openOldSnapshot(database.url);
    await database.run(`SET statement_timeout = '300ms'`);
    for (const index of ['item_pkey', long, 'item_pkey']) {
      await expect(database.run(`REINDEX INDEX CONCURRENTLY ${index}`)).rejects.toThrow(/statement timeout/);
    }
    await database.run('RESET statement_timeout');
    await reader.end();
    const before = await indexes();
    expect(before.filter(({ valid }) => !valid).map(({ name }) => name)).toEqual([
      'item_pkey_ccnew',
      'item_pkey_ccnew1',
      `${'x'.repeat(57)}_ccnew`,
    ]);
    const scene = await indexScene(database, engine);
    const plan = await scene.plans.reindex({ database: database.name, schema: 'public', table: 'item' }, BY);
    expect(plan.forecast.steps.slice(1).map(({ sql }) => sql)).toEqual([
      'DROP INDEX CONCURRENTLY "public"."item_pkey_ccnew"',
      'DROP INDEX CONCURRENTLY "public"."item_pkey_ccnew1"',
      `DROP INDEX CONCURRENTLY "public"."${'x'.repeat(57)}_ccnew"`,
      'REINDEX INDEX CONCURRENTLY "public"."item_pkey"',
      `REINDEX INDEX CONCURRENTLY "public"."${long}"`,
    ]);
    const run = await scene.run(plan);
    expect(run).toMatchObject({ state: 'SUCCEEDED', progress: { batches: 5 } });
    expect((await indexes()).map(({ name, valid }) => [name, valid])).toEqual([
      ['item_pkey', true],
      [long, true],
    ]);
    expect(await scene.told(run.id, 'STATEMENT_DONE')).toEqual([
      expect.stringMatching(/^public\.item_pkey has \d+ kB, and had \d+ kB\.$/),
      expect.stringMatching(/has \d+ kB, and had \d+ kB\.$/),
    ]);
  });

  it('makes bloated indexes as small as new ones, and has amcheck look at them', async () => {
    await database.run(
      'CREATE EXTENSION amcheck; CREATE TABLE fresh (LIKE item INCLUDING ALL); INSERT INTO fresh SELECT * FROM item',
    );
    const scene = await indexScene(database, engine);
    const plan = await scene.plans.reindex(
      { database: database.name, schema: 'public', table: 'item', amcheck: true },
      BY,
    );
    const run = await scene.run(plan);
    expect(run).toMatchObject({ state: 'SUCCEEDED' });
    await database.run('REINDEX TABLE fresh');
    const sizes = await database.run(`
      SELECT (SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = 'item'::regclass)::float8 AS ours,
             (SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = 'fresh'::regclass)::float8 AS fresh`);
    const { ours, fresh } = sizes[0] as { ours: number; fresh: number };
    expect(Math.abs(ours - fresh) / fresh).toBeLessThan(0.05);
    const checked = (await scene.told(run.id, 'STATEMENT_DONE')).filter((told) => told.includes('amcheck'));
    expect(checked).toEqual([
      'amcheck has found nothing wrong with public.Note "of" item.',
      'amcheck has found nothing wrong with public.item_pkey.',
    ]);
  });

  it('is done by the next worker when one is killed in the middle, and nothing is left behind', async () => {
    const scene = await indexScene(database, engine);
    const plan = await scene.plans.reindex(
      { database: database.name, schema: 'public', table: 'item', indexes: ['item_pkey'] },
      BY,
    );
    const before = await indexes();
    const runId = await scene.queue(plan);
    const reader = await scene.killed(runId, HALF_BUILT, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
    const turn = scene.takeOver(runId);
    while ((await scene.told(runId, 'LEFTOVER')).length === 0);
    await reader.query('COMMIT');
    expect(await turn).toMatchObject({ state: 'SUCCEEDED' });
    const after = await indexes();
    expect(after.map(({ name, valid }) => [name, valid])).toEqual(before.map(({ name }) => [name, true]));
    expect(await scene.told(runId, 'LEFTOVER')).toEqual([expect.stringContaining('item_pkey_ccnew')]);
    await reader.end();
  });

  it('pauses and names who holds the lock, keeps no reader waiting, and goes on when it is free', async () => {
    const scene = await indexScene(database, engine);
    const plan = await scene.plans.reindex({ database: database.name, schema: 'public', table: 'item' }, BY);
    const runId = await scene.queue(plan);
    const holder = await scene.session('BEGIN; LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE');
    const turn = scene.work(runId);
    await scene.until(
      `SELECT FROM pg_stat_activity WHERE query LIKE 'REINDEX INDEX%' AND wait_event = 'relation'`,
    );
    expect(await database.run(`SET statement_timeout = '5s'; SELECT count(*)::int AS n FROM item`)).toEqual([
      { n: 2_000 },
    ]);
    const paused = await turn;
    expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(paused.stateReason).toContain(`pid ${pidOf(holder)} (somebody, in a transaction since`);
    await holder.query('COMMIT');
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await indexes()).map(({ valid }) => valid)).toEqual([true, true]);
    await holder.end();
  });

  const control = () => makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } });

  /** REINDEX CONCURRENTLY waits for this one before it may use the new index. */
  async function openOldSnapshot(url: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url, application_name: 'reader' });
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
    return client;
  }

  async function untilHalfBuilt(): Promise<void> {
    while ((await database.run(HALF_BUILT)).length === 0);
  }
});
