import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { queryTimes } from '../../src/engine/query-times.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { type OwnServer, ownServer, testDatabase, type TestDatabase } from '../support/postgres.ts';

const MAKE = `CREATE TABLE item (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = false); CREATE TABLE items (id int);
  INSERT INTO item SELECT i, md5(i::text) FROM generate_series(1, 20000) i; DELETE FROM item WHERE id % 4 > 0`;

describe('how long queries take before and after a run', () => {
  let server: OwnServer;
  let database: TestDatabase;
  let engine: TestEngine;

  beforeAll(async () => {
    server = await ownServer({ shared_preload_libraries: 'pg_stat_statements' });
    database = await server.database();
    engine = await testEngine(database);
    await database.run(`CREATE EXTENSION pg_stat_statements; ${MAKE}`);
  });
  afterAll(async () => {
    await engine.close();
    await database.drop();
    await server.stop();
  });

  const rewrite = async (scene: { database: TestDatabase; engine: TestEngine }) =>
    scene.engine.work(
      await scene.engine.queue({ name: 'item' }, { kind: 'REORGANIZATION', method: 'VACUUM_FULL' }),
    );
  const read = async (times: number) => {
    for (let i = 0; i < times; i++) await database.run("SELECT count(*) FROM item WHERE note > 'f'");
  };

  it('is told of statements that name the table, as often as they were called', async () => {
    await read(5);
    await database.run('SELECT * FROM items');
    const run = await rewrite({ database, engine });
    const [first, ...others] = (await queryTimes(engine.deps, run)).filter(({ query }) =>
      query.startsWith('SELECT'),
    );
    expect(first).toMatchObject({
      query: 'SELECT count(*) FROM item WHERE note > $1',
      callsBefore: 5,
      callsAfter: 0,
      meanMsAfter: null,
    });
    expect(first!.meanMsBefore).toBeGreaterThan(0);
    expect(others).toEqual([]);
    await read(3);
    const later = (await queryTimes(engine.deps, run)).find(({ query }) => query === first!.query);
    expect(later).toMatchObject({ callsBefore: 5, callsAfter: 3, meanMsAfter: expect.any(Number) });
    await database.run('SELECT pg_stat_statements_reset()');
    const reset = (await queryTimes(engine.deps, run)).find(({ query }) => query === first!.query);
    expect(reset).toMatchObject({ callsBefore: 5, callsAfter: null, meanMsAfter: null });
  });

  it('is not known without pg_stat_statements', async () => {
    const plain = await testDatabase();
    const other = await testEngine(plain);
    try {
      await plain.run(MAKE);
      const run = await rewrite({ database: plain, engine: other });
      expect(run).toMatchObject({ state: 'SUCCEEDED' });
      expect(await queryTimes(other.deps, run)).toEqual([]);
    } finally {
      await other.close();
      await plain.drop();
    }
  });
});
