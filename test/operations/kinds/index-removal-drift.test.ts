import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../../src/clock.ts';
import { inTurn } from '../../analysis/support.ts';
import { BY, codesOf, indexScene, type IndexScene } from '../../support/index-scene.ts';
import { ownServer, type OwnServer } from '../../support/postgres.ts';

/** Its own: standbys and slots of other tests would make every index one that may be used; and it gets a tablespace. */
let server: OwnServer;
let scene: IndexScene;

beforeAll(async () => {
  server = await ownServer({ allow_in_place_tablespaces: 'on' });
});

afterAll(() => server.stop());

beforeEach(async () => {
  scene = await indexScene(await server.database());
  await scene.database.run('SELECT pg_stat_reset()');
  await scene.database.run(`
    CREATE TABLE item (id int PRIMARY KEY, kind int NOT NULL, note text);
    INSERT INTO item SELECT i, i % 10, 'note ' || i FROM generate_series(1, 20000) i;
    CREATE INDEX n ON item (kind); COMMENT ON INDEX n IS 'mine'`);
  await inTurn(scene.database, 'VACUUM ANALYZE item');
});

afterEach(() => scene.close());

const remove = () =>
  scene.plans.indexRemoval({ database: scene.database.name, schema: 'public', index: 'n' }, BY);
const restore = (runId: string) => scene.plans.restore({ runId, into: 'SOURCE', onConflict: 'REFUSE' }, BY);
const named = async (name: string) => (await scene.indexes('item')).find((index) => index.name === name);
const HALF_DROPPED = `SELECT FROM pg_index i, pg_stat_activity a WHERE i.indrelid = 'item'::regclass AND NOT i.indisvalid
  AND a.query LIKE 'DROP INDEX CONCURRENTLY%' AND a.wait_event = 'virtualxid'`;

describe('the removal of an index', () => {
  it('takes no other index that has its name, whether that came before it begins', async () => {
    const runId = await scene.queue(await remove());
    await scene.database.run('DROP INDEX n; CREATE INDEX n ON item (kind)');
    const run = await scene.work(runId);
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect(run.stateReason).toContain('the index public.n is another by now');
    await scene.cancel(runId);
    expect(await scene.work(runId)).toMatchObject({ state: 'CANCELLED' });
    expect(await named('n')).toMatchObject({ valid: true, comment: null });
  });

  it('or while it waits for those who use the table', async () => {
    const runId = await scene.queue(await remove());
    const reader = await scene.session('BEGIN; SELECT FROM item LIMIT 1; SELECT pg_sleep(2.1)');
    const turn = scene.work(runId);
    while ((await scene.told(runId, 'THROTTLED')).length === 0) await systemClock.sleep(20);
    await scene.database.run('ALTER INDEX n RENAME TO m; CREATE INDEX n ON item (note)');
    await reader.query('COMMIT');
    expect(await turn).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect([(await named('n'))?.valid, (await named('m'))?.valid]).toEqual([true, true]);
  });

  it('that is cancelled when the index is gone builds it again, with its comment', async () => {
    const before = await named('n');
    const runId = await scene.queue(await remove());
    const reader = await scene.killed(runId, HALF_DROPPED, 'BEGIN; SELECT FROM item LIMIT 1');
    await scene.database.run(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONCURRENTLY%' AND pid <> pg_backend_pid()`,
    );
    await reader.query('COMMIT');
    await scene.database.run('DROP INDEX n');
    await scene.cancel(runId);
    expect(await scene.takeOver(runId)).toMatchObject({ state: 'CANCELLED' });
    expect(before).toMatchObject({ comment: 'mine' });
    expect(await named('n')).toEqual(before);
  });

  it('is undone in the tablespace where the index was, whatever the default is by then', async () => {
    const run = await scene.run(await remove());
    await scene.database.run(`CREATE TABLESPACE elsewhere LOCATION ''`);
    await scene.database.run(`ALTER DATABASE ${scene.database.name} SET default_tablespace = 'elsewhere'`);
    expect(await scene.run(await restore(run.id))).toMatchObject({ state: 'SUCCEEDED' });
    expect(
      await scene.database.run(`SELECT reltablespace::int AS place FROM pg_class WHERE relname = 'n'`),
    ).toEqual([{ place: 0 }]);
  });

  it('has no undo by its definition once the table has another name', async () => {
    const run = await scene.run(await remove());
    await scene.database.run('ALTER TABLE item RENAME TO thing; CREATE TABLE item (kind int)');
    expect(codesOf(await restore(run.id))).toEqual(['TABLE_RENAMED']);
  });
});
