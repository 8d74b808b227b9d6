import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BY, indexScene, type IndexScene } from '../../support/index-scene.ts';

let scene: IndexScene;

beforeEach(async () => {
  scene = await indexScene();
  await scene.database.run(`
    CREATE TABLE line (buyer int NOT NULL, at int) PARTITION BY RANGE (at);
    CREATE TABLE line_1 PARTITION OF line FOR VALUES FROM (0) TO (10);
    CREATE TABLE line_2 PARTITION OF line FOR VALUES FROM (10) TO (20) PARTITION BY LIST (buyer);
    CREATE TABLE line_2_a PARTITION OF line_2 DEFAULT;
    INSERT INTO line SELECT i, i % 20 FROM generate_series(1, 5000) i`);
});

afterEach(() => scene.close());

const create = () =>
  scene.plans.indexCreation(
    { database: scene.database.name, schema: 'public', table: 'line', columns: ['buyer'], unique: false },
    BY,
  );
const statements = ({ forecast }: Awaited<ReturnType<typeof create>>) =>
  forecast.steps.slice(1).map(({ sql }) => sql);
const WHOLE = 'CREATE INDEX line_buyer_idx ON public.line USING btree (buyer)';
const parents = (table: string) =>
  scene.database.run(`
    SELECT x.relname AS name, p.relname AS parent FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
      LEFT JOIN pg_inherits h ON h.inhrelid = x.oid LEFT JOIN pg_class p ON p.oid = h.inhparent
     WHERE i.indrelid = '${table}'::regclass ORDER BY 1`);

describe('the index of a partitioned table', () => {
  it('does without indexes that it could not take up: unique ones', async () => {
    await scene.database.run('CREATE UNIQUE INDEX u ON line_1 (buyer); CREATE INDEX ON line_2_a (buyer)');
    const plan = await create();
    expect(statements(plan)).toEqual([
      'CREATE INDEX CONCURRENTLY line_1_buyer_idx ON public.line_1 USING btree (buyer)',
      WHOLE,
    ]);
    expect(await scene.run(plan)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await parents('line_1')).toEqual([
      { name: 'line_1_buyer_idx', parent: 'line_buyer_idx' },
      { name: 'u', parent: null },
    ]);
  });

  it('takes up what belongs to a partition below it, and not what belongs to another of its own', async () => {
    await scene.database.run(`
      CREATE INDEX mine ON line_2 (buyer);
      CREATE INDEX unfinished ON ONLY line (buyer); CREATE INDEX part ON line_1 (buyer);
      ALTER INDEX unfinished ATTACH PARTITION part`);
    const plan = await create();
    expect(statements(plan)).toEqual([
      'CREATE INDEX CONCURRENTLY line_1_buyer_idx ON public.line_1 USING btree (buyer)',
      WHOLE,
    ]);
    expect(await scene.run(plan)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await parents('line_2')).toEqual([{ name: 'mine', parent: 'line_buyer_idx' }]);
    expect(await parents('line_2_a')).toEqual([{ name: 'line_2_a_buyer_idx', parent: 'mine' }]);
  });

  it('is not put together while a partition that came meanwhile has none', async () => {
    const plan = await create();
    await scene.database.run('CREATE TABLE line_3 PARTITION OF line FOR VALUES FROM (20) TO (30)');
    const run = await scene.run(plan);
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect(run.stateReason).toContain('the partition public.line_3 has no such index');
    expect(await scene.indexes('line')).toEqual([]);
    await scene.cancel(run.id);
    expect(await scene.work(run.id)).toMatchObject({ state: 'CANCELLED' });
    const again = await create();
    expect(statements(again)).toEqual([
      'CREATE INDEX CONCURRENTLY line_3_buyer_idx ON public.line_3 USING btree (buyer)',
      WHOLE,
    ]);
    expect(await scene.run(again)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await scene.indexes('line')).map(({ valid }) => valid)).toEqual([true]);
  });
});
