import { afterEach, beforeEach, describe, expect } from '@jest/globals';
import { listEvents } from '../../src/store/run-events.ts';
import { readRepackState } from '../../src/target/repack-leftovers.ts';
import { debianDatabase, itOnDebian } from '../support/postgres.ts';
import { eventually } from '../support/eventually.ts';
import {
  type ReorganizationScene,
  reorganizationScene,
  type Reorganization,
  TABLE,
} from '../support/reorganization-scene.ts';

const REPACK: Reorganization = {
  kind: 'REORGANIZATION',
  method: 'REPACK',
  by: { tool: 'PG_REPACK', version: '1.4.8' },
};

describe('a repack by pg_repack', () => {
  let scene: ReorganizationScene;

  beforeEach(async () => {
    scene = await reorganizationScene(await debianDatabase());
    await scene.database.run('CREATE EXTENSION pg_repack');
  });
  afterEach(() => scene.close());

  /** Its copy is made, and it waits for the transaction that was open then. */
  const isHalfDone = async () =>
    (
      await scene.database.run(
        `SELECT FROM pg_stat_activity WHERE application_name LIKE 'declutter/%/repack' AND query LIKE '%virtualxid%'
            AND EXISTS (SELECT FROM pg_class WHERE relname = 'table_' || '${TABLE}'::regclass::oid::text)
            AND EXISTS (SELECT FROM pg_trigger WHERE tgname = 'repack_trigger')`,
      )
    ).length > 0;

  const openTransaction = () => scene.holding('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1');

  itOnDebian('gives back what is free, of the table and its indexes, and tells how much', async () => {
    const before = await scene.figures();
    const run = await scene.work(await scene.queue(REPACK));
    expect(run).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
    const after = await scene.figures();
    expect(after.heap).toBeLessThan(0.5 * before.heap);
    expect(after.indexes).toBeLessThan(0.6 * before.indexes);
    expect(after.oid).toBe(before.oid);
    expect(run.result.bytesReclaimed).toBeGreaterThanOrEqual(
      before.heap - after.heap + before.indexes - after.indexes,
    );
    await scene.isIntact();
  });

  itOnDebian('leaves nothing behind when it is cancelled half way', async () => {
    const before = await scene.figures();
    const reader = await openTransaction();
    const runId = await scene.queue(REPACK);
    const turn = scene.work(runId);
    await eventually('the copy', isHalfDone);
    const session = await scene.database.session();
    const state = await session.transaction(() => readRepackState(session, before.oid));
    expect(state.workers).toHaveLength(1);
    expect(state.leftovers).toHaveLength(4);
    await eventually('word of its progress', async () => {
      const { edges } = await listEvents(scene.engine.deps.store, runId, { first: 100 });
      return edges.some(({ node }) => node.kind === 'PROGRESS' && node.message.includes('applying'));
    });
    await scene.cancel(runId);
    expect(await turn).toMatchObject({ state: 'CANCELLED' });
    expect(await scene.figures()).toEqual(before);
    await reader.letGo();
    await scene.isIntact();
  });

  itOnDebian('goes on after its worker was killed, without what that has left behind', async () => {
    const before = await scene.figures();
    const reader = await openTransaction();
    const runId = await scene.queue(REPACK);
    await scene.killWhen(runId, 'the copy', isHalfDone);
    await reader.letGo();
    expect(await scene.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await scene.figures()).heap).toBeLessThan(0.5 * before.heap);
    await scene.isIntact();
  });

  itOnDebian('that was killed and is cancelled then is made undone', async () => {
    const before = await scene.figures();
    const reader = await openTransaction();
    const runId = await scene.queue(REPACK);
    await scene.killWhen(runId, 'the copy', isHalfDone);
    await reader.letGo();
    await scene.cancel(runId);
    expect(await scene.work(runId)).toMatchObject({ state: 'CANCELLED' });
    expect(await scene.figures()).toEqual(before);
    await scene.isIntact();
  });

  itOnDebian(
    'waits for a lock a second at a time, ends nobody, names who holds it, and goes on later',
    async () => {
      const writer = await scene.holding(`LOCK TABLE ${TABLE} IN ROW EXCLUSIVE MODE`);
      const runId = await scene.queue(REPACK);
      const turn = scene.work(runId);
      const waits = `SELECT FROM pg_locks WHERE NOT granted AND relation = '${TABLE}'::regclass`;
      await eventually('the wait', async () => (await scene.database.run(waits)).length > 0);
      expect(await scene.database.run(`SELECT count(*)::int AS rows FROM ${TABLE}`)).toEqual([
        { rows: 8_000 },
      ]);
      const paused = await turn;
      expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
      expect(paused.stateReason).toContain(`pid ${writer.pid} (holder`);
      await writer.letGo();
      expect(await scene.resume(runId)).toMatchObject({ state: 'SUCCEEDED' });
      await scene.isIntact();
    },
  );
});
