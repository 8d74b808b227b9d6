import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { listEvents } from '../../src/store/run-events.ts';
import { eventually } from '../support/eventually.ts';
import { testDatabase } from '../support/postgres.ts';
import {
  type Reorganization,
  type ReorganizationScene,
  reorganizationScene,
  TABLE,
} from '../support/reorganization-scene.ts';

const vacuum = (change: object = {}): Reorganization => ({
  kind: 'REORGANIZATION',
  method: 'VACUUM',
  settings: { freeze: false, indexCleanup: 'ON', parallel: 0, costDelayMs: 0, ...change },
});

describe('a vacuum', () => {
  let scene: ReorganizationScene;

  beforeEach(async () => {
    scene = await reorganizationScene(await testDatabase(), 'CREATE EXTENSION pgstattuple');
  });
  afterEach(() => scene.close());

  const dead = async () => {
    const [row] = await scene.database.run(`
      SELECT (SELECT dead_tuple_count::int FROM pgstattuple(c.oid)) AS table, (SELECT dead_tuple_count::int FROM pgstattuple(c.reltoastrelid)) AS toast,
             age(c.relfrozenxid) AS age FROM pg_class c WHERE c.oid = '${TABLE}'::regclass`);
    return row as { table: number; toast: number; age: number };
  };

  const one = async (sql: string) =>
    Number((await scene.database.run(`SELECT (${sql})::int8 AS n`))[0]?.['n']);
  const counted = () => one(`pg_stat_get_dead_tuples('${TABLE}'::regclass)`);
  const present = () => one('pg_current_xact_id()::text');
  const age = (xid: number) => one(`age('${xid % 2 ** 32}'::xid)`);

  const SLOWLY = vacuum({ costDelayMs: 100 });
  const isAtWork = async () => (await scene.database.run('SELECT FROM pg_stat_progress_vacuum')).length > 0;

  it('frees the table and its TOAST table, freezes what it is told to, and says what to do next', async () => {
    expect((await dead()).toast).toBeGreaterThan(0);
    await eventually('counters that know of the dead rows', async () => (await counted()) > 0);
    const now = await present();
    const run = await scene.work(await scene.queue(vacuum({ freeze: true, parallel: 1 })));
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { nextStep: expect.stringContaining('AUTO') } });
    expect(run.result.bytesReusable).toBeGreaterThan(0);
    const after = await dead();
    expect(after).toMatchObject({ table: 0, toast: 0 });
    expect(after.age).toBeLessThanOrEqual(await age(now));
    await scene.isIntact();
  });

  it('tells how far it is while it rests', async () => {
    const runId = await scene.queue(SLOWLY);
    expect(await scene.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    const { edges } = await listEvents(scene.engine.deps.store, runId, { first: 100 });
    const told = edges.filter(({ node }) => node.kind === 'PROGRESS').map(({ node }) => node.message);
    expect(told.join()).toMatch(/scanning heap|vacuuming/);
  });

  it('names the session that keeps dead rows from being removed', async () => {
    const reader = await scene.holding('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1');
    await scene.database.run(`DELETE FROM ${TABLE} WHERE id % 5 = 1`);
    const run = await scene.work(await scene.queue(vacuum()));
    expect(run).toMatchObject({ state: 'SUCCEEDED' });
    expect(run.result.nextStep).toMatch(
      new RegExp(`^40\\d\\d dead rows could not be removed.*${reader.pid}`),
    );
  });

  it('can be cancelled in the middle', async () => {
    const runId = await scene.queue(SLOWLY);
    const turn = scene.work(runId);
    await eventually('the vacuum', isAtWork);
    await scene.cancel(runId);
    expect(await turn).toMatchObject({ state: 'CANCELLED' });
    await scene.isIntact();
  });

  it('is done by the next worker when the first was killed', async () => {
    const runId = await scene.queue(vacuum({ costDelayMs: 100 }));
    await scene.killWhen(runId, 'the vacuum', isAtWork);
    expect(await scene.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await dead()).toMatchObject({ table: 0, toast: 0 });
    await scene.isIntact();
  });

  it('waits for other maintenance for a while, names who holds the lock, and goes on later', async () => {
    const other = await scene.holding(`LOCK TABLE ${TABLE} IN SHARE UPDATE EXCLUSIVE MODE`);
    const runId = await scene.queue(vacuum());
    const turn = scene.work(runId);
    const waits = `SELECT FROM pg_locks WHERE NOT granted AND relation = '${TABLE}'::regclass`;
    await eventually('the wait', async () => (await scene.database.run(waits)).length > 0);
    expect(await scene.database.run(`SELECT count(*)::int AS rows FROM ${TABLE}`)).toEqual([{ rows: 8_000 }]);
    const paused = await turn;
    expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(paused.stateReason).toContain(`pid ${other.pid} (holder`);
    await other.letGo();
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
  });
});
