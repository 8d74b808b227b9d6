import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { testEngine, type TestEngine } from '../../support/engine.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

const INDEXES = `
  SELECT c.oid::int, n.nspname AS schema, c.relname AS name, c.relfilenode::text AS file, pg_relation_size(c.oid)::int AS bytes,
         pg_get_indexdef(c.oid) AS definition, i.indisvalid AS valid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE i.indrelid = 'item'::regclass ORDER BY c.relname`;

interface IndexRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
  readonly definition: string;
  readonly valid: boolean;
}

describe('a reindex', () => {
  let database: TestDatabase;
  let engine: TestEngine;

  beforeEach(async () => {
    database = await testDatabase();
    engine = await testEngine(database);
    await database.run(`
      CREATE TABLE item (id int PRIMARY KEY, note text);
      CREATE INDEX "Note ""of"" item" ON item (note);
      INSERT INTO item SELECT i, 'note ' || i FROM generate_series(1, 20000) AS i;
      UPDATE item SET note = note || '!';
      DELETE FROM item WHERE id % 10 <> 0`);
    await database.run('VACUUM item');
  });

  afterEach(async () => {
    await engine.close();
    await database.drop();
  });

  const indexes = async () => (await database.run(INDEXES)) as unknown as IndexRow[];

  it('builds each named index anew, smaller and with the same definition', async () => {
    const before = await indexes();
    const run = await engine.work(await engine.queue({ name: 'item' }, { kind: 'REINDEX', indexes: before }));
    const after = await indexes();
    expect(run).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
    expect(after.map(({ name, definition, valid }) => ({ name, definition, valid }))).toEqual(
      before.map(({ name, definition }) => ({ name, definition, valid: true })),
    );
    expect(after).toHaveLength(2);
    after.forEach((index, i) => {
      expect(index.file).not.toBe(before[i]!.file);
      expect(index.bytes).toBeLessThan(before[i]!.bytes / 2);
    });
  });

  it('leaves nothing behind when its worker is stopped in the middle, and goes on later', async () => {
    const before = await indexes();
    const runId = await engine.queue({ name: 'item' }, { kind: 'REINDEX', indexes: before.slice(0, 1) });
    const reader = await openOldSnapshot(database.url);
    const stopping = new AbortController();
    const turn = engine.work(runId, stopping.signal);
    await untilHalfBuilt();
    stopping.abort();
    expect(await turn).toMatchObject({ state: 'INTERRUPTED', stateCode: 'WORKER_STOPPED' });
    expect(await indexes()).toEqual(before);

    await reader.end();
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    const after = await indexes();
    expect(after.map(({ name, valid }) => ({ name, valid }))).toEqual(
      before.map(({ name }) => ({ name, valid: true })),
    );
    expect(after[0]!.file).not.toBe(before[0]!.file);
  });

  /** REINDEX CONCURRENTLY waits for this one before it may use the new index. */
  async function openOldSnapshot(url: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url, application_name: 'reader' });
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
    return client;
  }

  async function untilHalfBuilt(): Promise<void> {
    const waiting = `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'
                        AND EXISTS (SELECT 1 FROM pg_class WHERE relname LIKE '%\\_ccnew')`;
    while ((await database.run(waiting)).length === 0);
  }
});
