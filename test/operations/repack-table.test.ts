import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { listEvents } from '../../src/store/run-events.ts';
import { readRepackState } from '../../src/target/repack-leftovers.ts';
import { debianDatabase, itOnDebian, testDatabase } from '../support/postgres.ts';
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

describe('a repack that is begun', () => {
  let scene: ReorganizationScene;

  beforeEach(async () => {
    scene = await reorganizationScene(await testDatabase());
  });
  afterEach(() => scene.close());

  const absent: Reorganization = { ...REPACK, by: { tool: 'PG_REPACK', version: '0.0.1' } };

  it('looks again for what would make it fail, each time that it is resumed', async () => {
    await scene.database.run(`CREATE PUBLICATION news FOR TABLE ${TABLE}`);
    const runId = await scene.queue(absent);
    expect(await scene.work(runId)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'SCHEMA_DRIFT',
      stateReason: expect.stringContaining('published (news)'),
    });
    await scene.database.run(`DROP PUBLICATION news; ALTER TABLE ${TABLE} DROP CONSTRAINT "Item_pkey"`);
    expect(await scene.resume(runId)).toMatchObject({
      stateCode: 'SCHEMA_DRIFT',
      stateReason: expect.stringContaining('no primary key'),
    });
    await scene.database.run(`ALTER TABLE ${TABLE} ADD PRIMARY KEY (id)`);
    expect(await scene.resume(runId)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'CLIENT_MISSING',
      stateReason: expect.stringContaining('no pg_repack 0.0.1'),
    });
  });

  it('looks again whether the disk has room', async () => {
    expect(await scene.work(await scene.queue({ ...absent, diskNeededBytes: 2 ** 52 }))).toMatchObject({
      state: 'PAUSED',
      stateCode: 'RESOURCE',
      stateReason: expect.stringContaining('Make room'),
    });
  });

  it('ends what is left of a pg_repack that has outlived its worker, and nobody else', async () => {
    const runId = await scene.queue(absent);
    const [ours, theirs] = [`declutter/${runId}/lane/repack`, 'declutter/another/lane/repack'].map(
      (name) => new pg.Client({ connectionString: scene.database.url, application_name: name }),
    ) as [pg.Client, pg.Client];
    const ended = new Promise((resolve) => ours.once('end', resolve));
    ours.on('error', () => undefined); // being ended is what it is for
    await Promise.all([ours.connect(), theirs.connect()]);
    try {
      expect(await scene.work(runId)).toMatchObject({ stateCode: 'CLIENT_MISSING' });
      await ended;
      expect((await theirs.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    } finally {
      await theirs.end();
    }
  });
});

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

  itOnDebian('gives way to somebody who waits for the table and makes others queue', async () => {
    const reader = await openTransaction();
    const runId = await scene.queue(REPACK);
    const turn = scene.work(runId);
    await eventually('the copy', isHalfDone);
    const somebody = await scene.holding(`LOCK TABLE ${TABLE} IN ACCESS EXCLUSIVE MODE`);
    await somebody.letGo();
    await reader.letGo();
    expect(await turn).toMatchObject({ state: 'SUCCEEDED' });
    const { edges } = await listEvents(scene.engine.deps.store, runId, { first: 100 });
    expect(edges.map(({ node }) => node.message)).toContainEqual(
      expect.stringMatching(/Another session waited 5 s .* the run gave way/),
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
