import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { missingForeignKeyIndex } from '../../../src/analysis/kinds/missing-foreign-key-index.ts';
import type { FoundFault } from '../../../src/domain/finding.ts';
import type { PlanIndexCreationInput } from '../../../src/domain/plan-inputs.ts';
import { ask } from '../../analysis/support.ts';
import { BY, codesOf, indexScene, type IndexScene, pidOf } from '../../support/index-scene.ts';

let scene: IndexScene;

beforeEach(async () => {
  scene = await indexScene();
  await scene.database.run(`
    CREATE TABLE buyer (id int PRIMARY KEY);
    CREATE TABLE "Order s" (id int PRIMARY KEY, "Buyer ""id""" int REFERENCES buyer, kind int, doc json);
    INSERT INTO buyer SELECT generate_series(1, 100);
    INSERT INTO "Order s" SELECT i, i % 100 + 1, i % 5 FROM generate_series(1, 20000) i;
    ANALYZE`);
});

afterEach(() => scene.close());

const create = (columns: string[], change: Partial<PlanIndexCreationInput> = {}) =>
  scene.plans.indexCreation(
    { database: scene.database.name, schema: 'public', table: 'Order s', columns, unique: false, ...change },
    BY,
  );
const missing = async (): Promise<readonly FoundFault[]> =>
  (await ask(missingForeignKeyIndex, scene.database)).faults;
const built = () => scene.indexes('"Order s"');
/** CREATE INDEX CONCURRENTLY waits for it, whatever it looks at. */
const OLD_WRITER = `BEGIN; UPDATE "Order s" SET kind = kind WHERE id = 1`;
const HALF_BUILT = `SELECT FROM pg_index i, pg_stat_activity a WHERE i.indrelid = '"Order s"'::regclass AND NOT i.indisvalid
  AND a.query LIKE 'CREATE INDEX CONCURRENTLY%' AND a.wait_event = 'virtualxid'`;
const DROPPING = `SELECT FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONCURRENTLY%' AND wait_event = 'virtualxid'`;

describe('the creation of an index', () => {
  it('by the remedy of a foreign key without one makes the finding silent', async () => {
    const [fault, ...more] = await missing();
    expect(more).toEqual([]);
    const { input } = fault!.remedy!.variables as { input: PlanIndexCreationInput };
    const plan = await scene.plans.indexCreation(
      { ...input, database: scene.database.name, unique: input.unique ?? false },
      BY,
    );
    expect(plan).toMatchObject({ kind: 'INDEX_CREATION', state: 'READY', forecast: { blockers: [] } });
    expect(plan.forecast.steps.at(-1)?.sql).toBe(
      'CREATE INDEX CONCURRENTLY "Order s_Buyer ""id""_idx" ON public."Order s" USING btree ("Buyer ""id""")',
    );
    const run = await scene.run(plan);
    expect(run).toMatchObject({ state: 'SUCCEEDED', progress: { batches: 1 } });
    const [index] = (await built()).filter(({ name }) => name !== 'Order s_pkey');
    expect(index).toMatchObject({ name: 'Order s_Buyer "id"_idx', valid: true });
    expect(await scene.told(run.id, 'STATEMENT_DONE')).toEqual([
      expect.stringMatching(/is built and valid, and has \d+ kB\.$/),
    ]);
    expect(await missing()).toEqual([]);
  });

  it('on a partitioned table gives each partition its own, and then the whole', async () => {
    await scene.database.run(`
      CREATE TABLE line (buyer int NOT NULL REFERENCES buyer, at int) PARTITION BY RANGE (at);
      CREATE TABLE line_1 PARTITION OF line FOR VALUES FROM (0) TO (10);
      CREATE TABLE line_2 PARTITION OF line FOR VALUES FROM (10) TO (20) PARTITION BY LIST (buyer);
      CREATE TABLE line_3 PARTITION OF line FOR VALUES FROM (20) TO (30);
      CREATE TABLE line_2_a PARTITION OF line_2 DEFAULT;
      CREATE INDEX ON line_2_a (buyer);
      INSERT INTO line SELECT i % 100 + 1, i % 20 FROM generate_series(1, 5000) i; ANALYZE line`);
    const fault = (await missing()).find(({ table }) => table === 'line');
    const { input } = fault!.remedy!.variables as { input: PlanIndexCreationInput };
    const plan = await create(input.columns, { table: input.table });
    expect(plan.forecast.steps.slice(1).map(({ sql }) => sql)).toEqual([
      'CREATE INDEX CONCURRENTLY line_1_buyer_idx ON public.line_1 USING btree (buyer)',
      'CREATE INDEX CONCURRENTLY line_3_buyer_idx ON public.line_3 USING btree (buyer)',
      'CREATE INDEX line_buyer_idx ON public.line USING btree (buyer)',
    ]);
    expect(await scene.run(plan)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await scene.indexes('line')).map(({ valid }) => valid)).toEqual([true]);
    expect(await scene.indexes('line_2_a')).toHaveLength(1);
    expect((await missing()).filter(({ table }) => table === 'line')).toEqual([]);
  });

  it('is not planned where it could not be, or need not be, built', async () => {
    await scene.database.run(`CREATE TABLE p (a int) PARTITION BY LIST (a)`);
    expect(codesOf(await create(['kind'], { name: 'buyer' }))).toEqual(['NAME_TAKEN']);
    expect(codesOf(await create(['id']))).toEqual(['INDEX_EXISTS']);
    expect(codesOf(await create(['doc']))).toEqual(['NOT_INDEXABLE']);
    expect(codesOf(await create(['kind'], { unique: true }))).toEqual(['REPEATED_KEYS']);
    expect(codesOf(await create(['a'], { table: 'p', unique: true }))).toEqual(['UNIQUE_PARTITIONED']);
    await expect(create(['nothing'])).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    await expect(create(['id', 'id'])).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    await expect(create([])).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('that finds equal keys fails and leaves no invalid index', async () => {
    await scene.database.run('CREATE TABLE once (id int); INSERT INTO once VALUES (1), (2)');
    const plan = await create(['id'], { table: 'once', unique: true });
    await scene.database.run('INSERT INTO once VALUES (2)');
    expect(await scene.run(plan)).toMatchObject({ state: 'FAILED', stateCode: 'CONFLICT' });
    expect(await scene.indexes('once')).toEqual([]);
  });

  it('leaves no invalid index when it is cancelled half way', async () => {
    const runId = await scene.queue(await create(['kind']));
    const writer = await scene.session(OLD_WRITER);
    const turn = scene.work(runId);
    await scene.until(HALF_BUILT);
    await scene.cancel(runId);
    await scene.until(DROPPING);
    await writer.query('COMMIT');
    expect(await turn).toMatchObject({ state: 'CANCELLED' });
    expect((await built()).map(({ name }) => name)).toEqual(['Order s_pkey']);
  });

  it('is finished by the next worker when one is killed half way, and only once', async () => {
    const runId = await scene.queue(await create(['kind'], { name: 'By kind' }));
    const writer = await scene.killed(runId, HALF_BUILT, OLD_WRITER);
    const turn = scene.takeOver(runId);
    await scene.until(DROPPING);
    await writer.query('COMMIT');
    expect(await turn).toMatchObject({ state: 'SUCCEEDED' });
    expect((await built()).map(({ name, valid }) => [name, valid])).toEqual([
      ['By kind', true],
      ['Order s_pkey', true],
    ]);
    expect(await scene.told(runId, 'LEFTOVER')).toEqual([expect.stringContaining('public.By kind')]);
  });

  it('pauses and names who holds the lock, keeps no reader waiting, and goes on when it is free', async () => {
    const runId = await scene.queue(await create(['kind']));
    const holder = await scene.session(`BEGIN; LOCK TABLE "Order s" IN SHARE UPDATE EXCLUSIVE MODE`);
    const turn = scene.work(runId);
    await scene.until(
      `SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event = 'relation'`,
    );
    expect(
      await scene.database.run(`SET statement_timeout = '5s'; SELECT count(*)::int AS n FROM "Order s"`),
    ).toEqual([{ n: 20_000 }]);
    const paused = await turn;
    expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(paused.stateReason).toContain(`pid ${pidOf(holder)} (somebody, in a transaction since`);
    expect((await built()).every(({ valid }) => valid)).toBe(true);
    await holder.query('COMMIT');
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await built()).toHaveLength(2);
  });

  it('waits a minute at most for old transactions, and says for whom', async () => {
    const runId = await scene.queue(await create(['kind']));
    const writer = await scene.session(OLD_WRITER);
    const paused = await scene.work(runId);
    expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(paused.stateReason).toContain(
      `Waited 60 s for transactions that began before: pid ${pidOf(writer)} (`,
    );
    await writer.query('COMMIT');
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await built()).every(({ valid }) => valid)).toBe(true);
  });
});
