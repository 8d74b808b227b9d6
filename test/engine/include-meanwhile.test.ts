import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FILES } from '../support/archives.ts';
import { until, untilSeen } from '../support/fault-scene.ts';
import { type ShopScene, shopScene, SMALL } from '../support/shop-scene.ts';
import { partedCustomers } from '../support/shop-with-everything.ts';
import { STEADY } from '../support/engine.ts';

let scene: ShopScene;

beforeEach(async () => {
  scene = await shopScene();
});
afterEach(() => scene.close());

const WAITING = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'declutter/%' AND wait_event_type = 'Lock'`;
const ONE_BATCH = { throttle: { ...SMALL, batchRows: 1_000 } };

describe('an archive with what references its rows', () => {
  it('has a child in it that came while the batch waited for its parent', async () => {
    const other = await scene.database.session({ readOnly: false });
    await other.script(`BEGIN; INSERT INTO orders VALUES (1, 9001, 1, 1)`); // holds customer 1 until it commits
    const runId = await scene.queue(FILES);
    const working = scene.engine.work(runId);
    await untilSeen(scene.database, WAITING);
    await other.script('COMMIT');
    expect(await working).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scene.countOf('orders WHERE id = 9001')).toBe(0);
    await other.close();
    expect(await scene.restored(runId)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
    expect(await scene.countOf('orders WHERE id = 9001 AND customer = 1')).toBe(1);
  });

  it('leaves no customer without its orders when it is cancelled, and brings back what had gone', async () => {
    const throttle = { ...STEADY, dutyCycle: 0.02, batchRows: 50, batchMs: 2 };
    const runId = await scene.queue(FILES, { throttle });
    const working = scene.engine.work(runId);
    await until(scene.engine, runId, ({ progress }) => progress.rowsDone > 0);
    await scene.engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'CANCELLING' } });
    expect((await working).state).toBe('CANCELLED');
    expect(await scene.countOf('customers WHERE old')).toBeGreaterThan(0);
    expect(await partedCustomers(scene.database)).toBe(0);
    expect(await scene.restored(runId)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
    expect(await scene.everyRow()).toEqual(scene.before);
  });

  it('takes nothing when a trigger keeps a row of another table, so that it would reference what is gone', async () => {
    await scene.database
      .run(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER keep BEFORE DELETE ON "Line notes" FOR EACH ROW EXECUTE FUNCTION keep()`);
    const runId = await scene.queue(FILES, ONE_BATCH);
    expect(await scene.engine.work(runId)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'DEPENDENTS',
      result: { rowsArchived: 0 },
    });
    expect(await scene.everyRow()).toEqual(scene.before);
  });

  it('stops where a key leads to one partition alone, since its cascade would be seen by nobody', async () => {
    await scene.database.run(
      `CREATE TABLE stray (line int REFERENCES lines_low ON DELETE CASCADE); INSERT INTO stray VALUES (7)`,
    );
    const runId = await scene.queue(FILES, ONE_BATCH);
    expect(await scene.engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect(await scene.countOf('stray')).toBe(1);
    expect(await scene.everyRow()).toEqual(scene.before);
  });
});
