import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { testEngine, type TestEngine } from '../../support/engine.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

describe('a reorganization', () => {
  let database: TestDatabase;
  let engine: TestEngine;

  beforeEach(async () => {
    database = await testDatabase();
    engine = await testEngine(database);
    await database.run(`
      CREATE EXTENSION pgstattuple;
      CREATE SCHEMA "Odd ""schema""";
      CREATE TABLE "Odd ""schema"""."Item" (id int PRIMARY KEY, note text);
      INSERT INTO "Odd ""schema"""."Item" SELECT i, 'note ' || i % 7 FROM generate_series(1, 10000) AS i;
      DELETE FROM "Odd ""schema"""."Item" WHERE id % 2 = 0`);
  });

  afterEach(async () => {
    await engine.close();
    await database.drop();
  });

  const perform = async (method: 'ANALYZE' | 'VACUUM') =>
    engine.work(
      await engine.queue({ schema: 'Odd "schema"', name: 'Item' }, { kind: 'REORGANIZATION', method }),
    );

  const figures = async () => {
    const [row] = await database.run(`
      SELECT (SELECT dead_tuple_count::int FROM pgstattuple(c.oid)) AS dead, reltuples::int AS estimate,
             (SELECT n_distinct::int FROM pg_stats WHERE tablename = 'Item' AND attname = 'note') AS distinct
        FROM pg_class c WHERE relname = 'Item'`);
    return row;
  };

  it('by VACUUM makes the room of dead rows free and renews the statistics', async () => {
    expect(await figures()).toEqual({ dead: 5_000, estimate: -1, distinct: null });
    expect(await perform('VACUUM')).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
    expect(await figures()).toEqual({ dead: 0, estimate: 5_000, distinct: 7 });
  });

  it('by ANALYZE renews the statistics and leaves dead rows where they are', async () => {
    expect(await perform('ANALYZE')).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
    expect(await figures()).toEqual({ dead: 5_000, estimate: 5_000, distinct: 7 });
  });
});
