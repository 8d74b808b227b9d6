import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeArchiveUseCases } from '../../src/archive/archive-use-cases.ts';
import { sideTableOf } from '../../src/domain/archive-tables.ts';
import { archiveOf, archiveUpTo, DESTINATIONS, FILES, TABLE, verified } from '../support/archives.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { s3Server } from '../support/s3-server.ts';
import { type ShopScene, shopScene, SMALL } from '../support/shop-scene.ts';
import { expectedToGo, wronglyTreated } from '../support/shop-with-everything.ts';

const bucket = await s3Server();
afterAll(() => bucket.close());

let scene: ShopScene;

beforeEach(async () => {
  scene = await shopScene(bucket);
});
afterEach(() => scene.close());

/** Files are read the same wherever they are. */
describe.each([FILES, TABLE])('a restore of several tables from $kind', (destination) => {
  it('points back only what still has the NULL or the default, and says how many it left', async () => {
    const runId = await scene.archived(destination);
    const lostFirst = 'SELECT id FROM tasks WHERE customer IS NULL ORDER BY id LIMIT 1';
    const id = String((await scene.database.run(lostFirst))[0]?.['id']);
    await scene.database.run(`UPDATE tasks SET customer = 3 WHERE id = ${id}`);
    expect(await scene.restored(runId)).toMatchObject({
      state: 'SUCCEEDED',
      result: { nextStep: expect.stringMatching(/^1 references were not pointed back/) },
    });
    expect(await scene.countOf(`tasks WHERE id = ${id} AND customer = 3`)).toBe(1);
    expect(await scene.countOf('tasks WHERE customer IS NULL')).toBe(0);
  });

  it('takes along what went with the rows that a filter chooses', async () => {
    await scene.database.run(
      `UPDATE customers SET referred_by = NULL WHERE old; UPDATE lines SET customer = NULL`,
    );
    const runId = await scene.archived(destination);
    const where = { column: 'id', op: 'EQ', value: '205' } as const;
    expect(await scene.restored(runId, { where })).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
    // Customer 206 was referred by 205; both have two orders, with two lines each.
    const [back] = await scene.database
      .run(`SELECT (SELECT string_agg(id::text, ',' ORDER BY id) FROM customers WHERE id IN (SELECT key::int FROM gone WHERE t = 'customers')) AS customers,
      (SELECT count(*)::int FROM orders WHERE customer IN (205, 206)) AS orders,
      (SELECT count(*)::int FROM lines l JOIN orders o ON o.region = l.region AND o.id = l."order" WHERE o.customer IN (205, 206)) AS lines`);
    expect(back).toEqual({ customers: '205,206', orders: 4, lines: 8 });
  });

  it('fills a side table for each, with every row', async () => {
    const runId = await scene.archived(destination);
    const table = sideTableOf('customers', 0, runId);
    expect(await scene.restored(runId, { into: 'SIDE_TABLE', table })).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsRestored: await expectedToGo(scene.database) },
    });
    for (const name of ['customers', 'orders', 'lines', 'Line notes']) {
      const rows = await scene.countOf(`"${sideTableOf(name, 1, runId)}"`);
      expect([name, rows]).toEqual([name, await scene.countOf(`gone WHERE t = '${name}'`)]);
    }
  });

  it('names the table whose keys are taken, and leaves those rows out when asked to', async () => {
    const runId = await scene.archived(destination);
    await scene.database.run(
      `INSERT INTO orders SELECT region, id, 3, 0 FROM (SELECT split_part(key, '/', 1)::int AS region, split_part(key, '/', 2)::int AS id FROM gone WHERE t = 'orders' ORDER BY key LIMIT 1) x`,
    );
    const failed = await scene.restored(runId);
    expect(failed).toMatchObject({
      state: 'FAILED',
      stateCode: 'CONFLICT',
      stateReason: expect.stringMatching(/1 find their keys taken in public\.orders\./),
    });
    const back = failed.progress.rowsDone;
    const gone = await expectedToGo(scene.database);
    expect(await scene.restored(runId, { onConflict: 'SKIP' })).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsRestored: gone - back - 1 },
    });
    expect(await wronglyTreated(scene.database)).toBe(gone);
  });
});

describe.each(DESTINATIONS)('a restore of several tables from $kind', (destination) => {
  it('is found whole by a check, which sees damage in any of the tables', async () => {
    const runId = await scene.archived(destination);
    const gone = await expectedToGo(scene.database);
    const checked = await verified(scene.engine, runId);
    expect(checked).toMatchObject({ ok: true, problems: [] });
    expect(checked.rowsChecked).toBeGreaterThan(gone); // and lost references
    const { id } = await archiveOf(scene.engine, runId);
    const tables = await makeArchiveUseCases(scene.engine.deps).tables(id);
    expect(tables.map(({ table }) => table).sort()).toEqual(['Line notes', 'customers', 'lines', 'orders']);
    expect(tables.reduce((sum, { rows }) => sum + rows, 0)).toBe(gone);
    if (destination.kind !== 'TABLE') return;
    await scene.database.run('DELETE FROM orders_archive');
    expect(await verified(scene.engine, runId)).toMatchObject({ ok: false });
    expect(await scene.restored(runId)).toMatchObject({ state: 'FAILED', stateCode: 'ARCHIVE_DAMAGED' });
  });

  it('brings back a tree that was archived leaf by leaf', async () => {
    await scene.database
      .run(`CREATE TABLE node (id int PRIMARY KEY, up int REFERENCES node, pad text); CREATE INDEX ON node (up);
      INSERT INTO node SELECT i, CASE WHEN i < 3000 THEN i + 1 END, repeat('x', 100) FROM generate_series(1, 3000) i; ANALYZE node`);
    const before = await fingerprintOf(scene.database, 'SELECT * FROM node');
    const own = destination.kind === 'TABLE' ? { ...destination, table: 'nodes_kept' } : destination;
    const throttle = { ...SMALL, batchRows: 400 };
    const runId = await scene.engine.queue({ name: 'node' }, archiveUpTo(2_900, own), { throttle });
    expect(await scene.engine.work(runId)).toMatchObject({
      state: 'SUCCEEDED',
      stateReason: null,
      result: { rowsArchived: 2_900 },
    });
    expect(await scene.restored(runId)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
    expect(await fingerprintOf(scene.database, 'SELECT * FROM node')).toEqual(before);
  });
});
