import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { type OwnServer, ownServer } from '../support/postgres.ts';
import {
  type Reorganization,
  type ReorganizationScene,
  reorganizationScene,
  TABLE,
} from '../support/reorganization-scene.ts';

const FULL: Reorganization = { kind: 'REORGANIZATION', method: 'VACUUM_FULL' };

/** An index whose building takes seconds, in sessions that begin while the database says so. */
const SLOW_INDEX = `
  CREATE FUNCTION public.slowly(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN IF pg_catalog.current_setting('test.slow', true) = 'on' THEN PERFORM pg_catalog.pg_sleep(0.002); END IF; RETURN id; END $$;
  CREATE INDEX slow ON ${TABLE} (public.slowly(id))`;

describe('a table that is written anew under a lock', () => {
  let server: OwnServer;
  let scene: ReorganizationScene;

  // A server of its own: a session that is being opened keeps, for a moment, what a long transaction in any other database may see.
  beforeAll(async () => {
    server = await ownServer();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    scene = await reorganizationScene(await server.database(), SLOW_INDEX);
  });
  afterEach(() => scene.close());

  const slow = (isSlow: boolean) =>
    scene.database.run(`ALTER DATABASE ${scene.database.name} SET test.slow = ${isSlow ? 'on' : 'off'}`);

  const isHalfDone = async () =>
    (await scene.database.run(`SELECT FROM pg_stat_progress_cluster WHERE phase = 'rebuilding index'`))
      .length > 0;

  const clusterBy = async (name: string): Promise<Reorganization> => {
    const [index] = await scene.database.run(`SELECT oid::int FROM pg_class WHERE relname = '${name}'`);
    return {
      kind: 'REORGANIZATION',
      method: 'CLUSTER',
      index: { oid: index!['oid'] as number, schema: 'Odd "schema"', name },
    };
  };

  it('by VACUUM FULL gives back what is free, and tells how much', async () => {
    const before = await scene.figures();
    const run = await scene.work(await scene.queue(FULL));
    expect(run).toMatchObject({ state: 'SUCCEEDED', stateCode: null, result: { bytesReusable: 0 } });
    const after = await scene.figures();
    expect(after.heap).toBeLessThan(0.5 * before.heap);
    expect(after.oid).toBe(before.oid);
    expect(run.result.bytesReclaimed).toBeGreaterThan(before.heap - after.heap);
    await scene.isIntact();
  });

  it('by CLUSTER has its rows in the order of the index', async () => {
    const name = 'Item by "note"';
    expect(await scene.work(await scene.queue(await clusterBy(name)))).toMatchObject({ state: 'SUCCEEDED' });
    const lie = (order: string) => scene.database.run(`SELECT id FROM ${TABLE} ORDER BY ${order} LIMIT 50`);
    expect(await lie('ctid')).toEqual(await lie('note'));
    expect(await lie('ctid')).not.toEqual(await lie('id'));
    await scene.isIntact();
  });

  it('is as it was when the run is cancelled half way', async () => {
    await slow(true);
    const before = await scene.figures();
    const runId = await scene.queue(FULL);
    const turn = scene.work(runId);
    await eventually('the copy', isHalfDone);
    await scene.cancel(runId);
    expect(await turn).toMatchObject({ state: 'CANCELLED' });
    expect(await scene.figures()).toEqual(before);
    await scene.isIntact();
  });

  it('is written anew by the next worker when the first was killed, whose statement goes on for nobody', async () => {
    await slow(true);
    const before = await scene.figures();
    const runId = await scene.queue(FULL);
    await scene.killWhen(runId, 'the copy', isHalfDone);
    await slow(false);
    expect(await scene.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await scene.figures()).heap).toBeLessThan(0.5 * before.heap);
    await scene.isIntact();
  });

  it('waits a little for its lock, lets readers past, names who holds it, and goes on later', async () => {
    const reader = await scene.holding(`SELECT FROM ${TABLE} LIMIT 1`);
    const runId = await scene.queue(FULL);
    const turn = scene.work(runId);
    const waits = `SELECT FROM pg_locks WHERE NOT granted AND relation = '${TABLE}'::regclass`;
    await eventually('the wait', async () => (await scene.database.run(waits)).length > 0);
    expect(await scene.database.run(`SELECT count(*)::int AS rows FROM ${TABLE}`)).toEqual([{ rows: 8_000 }]);
    const paused = await turn;
    expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(paused.stateReason).toContain(`pid ${reader.pid} (holder`);
    await reader.letGo();
    expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
    await scene.isIntact();
  });
});
