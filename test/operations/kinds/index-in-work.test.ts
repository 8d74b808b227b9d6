import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BY, codesOf, indexScene, type IndexScene } from '../../support/index-scene.ts';

let scene: IndexScene;

beforeEach(async () => {
  scene = await indexScene();
  await scene.database.run(`
    CREATE TABLE item (id int PRIMARY KEY, kind int);
    INSERT INTO item SELECT i, i % 5 FROM generate_series(1, 20000) i`);
});

afterEach(() => scene.close());

const create = () =>
  scene.plans.indexCreation(
    {
      database: scene.database.name,
      schema: 'public',
      table: 'item',
      columns: ['kind'],
      unique: false,
      name: 'by_kind',
    },
    BY,
  );
const remove = (index: string) =>
  scene.plans.indexRemoval({ database: scene.database.name, schema: 'public', index }, BY);
const named = async () => (await scene.indexes('item')).map(({ name, valid }) => [name, valid]);

/** Somebody else's statement, held half way by a transaction until the end of which it waits. */
async function held(statement: string): Promise<{ finish(): Promise<void> }> {
  const writer = await scene.session('BEGIN; UPDATE item SET kind = kind WHERE id = 1');
  const builder = await scene.session('SELECT');
  const done = builder.query(statement);
  await scene.until(`SELECT FROM pg_index i, pg_stat_progress_create_index p
    WHERE i.indrelid = 'item'::regclass AND NOT i.indisvalid AND p.relid = i.indrelid AND p.phase LIKE 'waiting for%'`);
  return {
    finish: async () => {
      await writer.query('COMMIT');
      await done;
    },
  };
}

const SOMEBODYS = 'CREATE INDEX CONCURRENTLY by_kind ON item (kind)';

describe('an index that somebody else works on', () => {
  it('is not planned to go', async () => {
    const other = await held(SOMEBODYS);
    expect(codesOf(await remove('by_kind'))).toEqual(['INDEX_IN_WORK']);
    await other.finish();
  });

  it('is no leftover to a rebuild that is planned meanwhile', async () => {
    const other = await held('REINDEX INDEX CONCURRENTLY item_pkey');
    const plan = await scene.plans.reindex(
      { database: scene.database.name, schema: 'public', table: 'item' },
      BY,
    );
    expect(plan.forecast.steps.slice(1).map(({ sql }) => sql)).toEqual([
      'REINDEX INDEX CONCURRENTLY "public"."item_pkey"',
    ]);
    expect(plan.forecast.warnings.map(({ code }) => code)).toContain('INDEX_IN_WORK');
    await other.finish();
    expect(await named()).toEqual([['item_pkey', true]]);
  });

  it('is not taken for what a try of ours has left, and not dropped by a cancel', async () => {
    const runId = await scene.queue(await create());
    const other = await held(SOMEBODYS);
    const paused = await scene.work(runId);
    expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(paused.stateReason).toContain('Another session works on the index public.by_kind now');
    await scene.cancel(runId);
    expect(await scene.work(runId)).toMatchObject({ state: 'CANCELLED' });
    expect(await scene.told(runId, 'LEFTOVER')).toEqual([]);
    await other.finish();
    expect(await named()).toEqual([
      ['by_kind', true],
      ['item_pkey', true],
    ]);
  });

  it('is not dropped once it has become valid, though it was not when that was planned', async () => {
    await scene.database.run('CREATE INDEX by_kind ON item (kind)');
    await scene.database.run(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_kind'::regclass`);
    const plan = await remove('by_kind');
    await scene.database.run('REINDEX INDEX by_kind');
    const run = await scene.run(plan);
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect(run.stateReason).toContain('public.by_kind is valid by now');
    expect(await named()).toEqual([
      ['by_kind', true],
      ['item_pkey', true],
    ]);
  });
});
