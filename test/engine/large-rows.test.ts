import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { type Archive, restored } from '../support/archives.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { s3Server } from '../support/s3-server.ts';

let database: TestDatabase;
let engine: TestEngine;

afterEach(async () => {
  await engine.close();
  await database.drop();
});

const bucket = await s3Server();
afterAll(() => bucket.close());

const MEGABYTE = 1_048_576;

/** Text that does not compress well, of so many megabytes. */
const random = (megabytes: number) =>
  `(SELECT string_agg(md5(g::text), '') FROM generate_series(1, ${(megabytes * MEGABYTE) / 32}) g)`;

async function begin(): Promise<void> {
  database = await testDatabase();
  engine = await testEngine(database, undefined, bucket.settings);
  await database.run(`
    CREATE TABLE letters (id int PRIMARY KEY, body text);
    ALTER TABLE letters ALTER body SET STORAGE EXTERNAL;
    INSERT INTO letters SELECT g, 'small ' || g FROM generate_series(1, 300) g;
    UPDATE letters SET body = ${random(24)} WHERE id = 7;
    ANALYZE letters`);
}

const archive = (destination: Archive['destination']): Archive => ({
  kind: 'ARCHIVE',
  filter: { column: 'id', op: 'LE', value: '250' },
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
  destination,
});

/** More than a batch may have otherwise. */
describe('a row of 24 MB, in a table of small ones', () => {
  it.each<Archive['destination']>([
    { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    { kind: 'FILES', store: 'local', format: 'JSONL_ZSTD' },
    { kind: 'FILES', store: 'local', format: 'PARQUET' },
    { kind: 'S3', store: 's3', format: 'COPY_ZSTD' },
    { kind: 'TABLE', schema: 'public', table: 'letters_archive' },
  ])(
    'goes into %j, and comes back as it was',
    async (destination) => {
      await begin();
      const before = await fingerprintOf(database, 'SELECT * FROM letters');
      const runId = await engine.queue({ name: 'letters' }, archive(destination));
      const done = await engine.work(runId);
      expect([done.state, done.stateReason, done.result.rowsArchived]).toEqual(['SUCCEEDED', null, 250]);
      expect(await fingerprintOf(database, 'SELECT * FROM letters')).toMatchObject({ rows: 50 });
      expect(await restored(engine, runId)).toMatchObject({
        state: 'SUCCEEDED',
        result: { rowsRestored: 250 },
      });
      expect(await fingerprintOf(database, 'SELECT * FROM letters')).toEqual(before);
    },
    120_000,
  );
});

describe('a row of more than 256 MB', () => {
  it('stops the run, and nothing of it has changed', async () => {
    await begin();
    await database.run(
      `UPDATE letters SET body = NULL; ALTER TABLE letters ALTER body SET STORAGE EXTENDED;
       UPDATE letters SET body = repeat('x', ${260 * MEGABYTE}) WHERE id = 7`,
    );
    const files = archive({ kind: 'FILES', store: 'local', format: 'COPY_ZSTD' });
    const runId = await engine.queue(
      { name: 'letters' },
      { ...files, filter: { column: 'id', op: 'EQ', value: '7' } },
    );
    const stopped = await engine.work(runId);
    expect([stopped.state, stopped.stateCode]).toEqual(['PAUSED', 'ROW_TOO_LARGE']);
    expect(await database.run('SELECT count(*)::int AS n, max(length(body)) AS length FROM letters')).toEqual(
      [{ n: 300, length: 260 * MEGABYTE }],
    );
  }, 120_000);
});
