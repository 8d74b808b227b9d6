import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ArchiveDestination } from '../../../src/domain/plan.ts';
import type { RunView } from '../../../src/store/runs.ts';
import {
  archiveUpTo,
  DESTINATIONS,
  FILES,
  queueRestore,
  type Restore,
  restored as restoredIn,
  S3,
  TABLE,
} from '../../support/archives.ts';
import { testEngine, type TestEngine } from '../../support/engine.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { s3Server } from '../../support/s3-server.ts';

const bucket = await s3Server();
afterAll(() => bucket.close());

let database: TestDatabase;
let engine: TestEngine;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database, undefined, bucket.settings);
  await database.run(`
    CREATE TABLE item (id int PRIMARY KEY, serial serial, kind text, amount numeric(10, 4), note varchar(20));
    INSERT INTO item SELECT i, i, 'k' || i % 3, i * 1.0001, 'note ' || i FROM generate_series(1, 3000) i; ANALYZE item`);
});
afterEach(async () => {
  await engine.close();
  await database.drop();
});

const work = (runId: string, signal?: AbortSignal): Promise<RunView> => engine.work(runId, signal);

async function archived(destination: ArchiveDestination): Promise<string> {
  const runId = await engine.queue({ name: 'item' }, archiveUpTo(2_000, destination));
  expect(await work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 2_000 } });
  return runId;
}

const restored = (runId: string, change?: Partial<Restore>) => restoredIn(engine, runId, change);

const countOf = async (source: string): Promise<unknown> =>
  (await database.run(`SELECT count(*)::int AS rows FROM ${source}`))[0]?.['rows'];

describe.each(DESTINATIONS)('a restore from $kind', (destination) => {
  it('puts back what a filter chooses, and moves sequences on behind it', async () => {
    const runId = await archived(destination);
    await database.run('ALTER SEQUENCE item_serial_seq RESTART WITH 1000');
    const where = { column: 'kind', op: 'EQ', value: 'k1' } as const;
    expect(await restored(runId, { where })).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsRestored: 667, nextStep: null },
    });
    expect(await countOf("item WHERE id <= 2000 AND kind = 'k1'")).toBe(667);
    const [next] = await database.run('INSERT INTO item (id) VALUES (0) RETURNING serial');
    expect(next?.['serial']).toBe(3_001);
  });

  it('leaves when it is asked to while it has not checked the archive yet', async () => {
    const runId = await archived(destination);
    const stopping = new AbortController();
    stopping.abort();
    const before = bucket.requests.length;
    const restoreId = await queueRestore(engine, runId);
    expect(await work(restoreId, stopping.signal)).toMatchObject({
      state: 'INTERRUPTED',
      result: { rowsRestored: 0 },
    });
    expect(bucket.requests.length).toBe(before);
  });
});

/** Files are read the same wherever they are. */
describe.each([FILES, TABLE])('a restore from $kind', (destination) => {
  it('says how many rows find their keys taken, and puts none of their batch back', async () => {
    const runId = await archived(destination);
    await database.run("INSERT INTO item (id, kind) SELECT i, 'new' FROM generate_series(1, 7) i");
    const failed = await restored(runId);
    expect(failed).toMatchObject({
      state: 'FAILED',
      stateCode: 'CONFLICT',
      stateReason: expect.stringMatching(
        /^Of the \d+ rows of this part 7 find their keys taken in public\.item/,
      ),
    });
    // Whole parts may have come back before the one that holds the taken keys; of that one nothing has.
    const part = Number(/\d+/.exec(failed.stateReason ?? '')?.[0]);
    const back = failed.progress.rowsDone;
    expect(back).toBeLessThanOrEqual(2_000 - part);
    expect(await countOf('item WHERE id <= 2000')).toBe(7 + back);
    expect(await restored(runId, { onConflict: 'SKIP' })).toMatchObject({
      state: 'SUCCEEDED',
      result: {
        rowsRestored: 1_993 - back,
        nextStep: expect.stringMatching(new RegExp(`^${7 + back} archived rows were left out`)),
      },
    });
    expect(await countOf("item WHERE kind = 'new'")).toBe(7);
    expect(await countOf('item')).toBe(3_000);
  });

  it('takes the table as it is now: columns that came, went, or have a wider type', async () => {
    const runId = await archived(destination);
    await database.run(`ALTER TABLE item ADD came text DEFAULT 'x', DROP COLUMN kind, ALTER id TYPE bigint,
      ALTER note TYPE text, ADD twice numeric GENERATED ALWAYS AS (amount * 2) STORED`);
    expect(await restored(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsRestored: 2_000 } });
    expect(await countOf("item WHERE came = 'x' AND twice = id * 2.0002 AND note = 'note ' || id")).toBe(
      3_000,
    );
  });

  it.each([
    [
      'amount TYPE numeric(10, 2)',
      /\d+ values of the column amount would lose something: they were numeric\(10,4\)/,
    ],
    ['note TYPE varchar(6) USING left(note, 6)', /\d+ values of the column note would lose something/],
    ['kind TYPE int USING 1', /cannot be read as the type that their column has now \(kind\)/],
  ])('never cuts, rounds or bends a value to fit: ALTER %s', async (change, words) => {
    const runId = await archived(destination);
    await database.run(`ALTER TABLE item ALTER ${change}`);
    expect(await restored(runId)).toMatchObject({
      state: 'FAILED',
      stateCode: 'SCHEMA_DRIFT',
      stateReason: expect.stringMatching(words),
    });
    expect(await countOf('item')).toBe(1_000);
    const side = { into: 'SIDE_TABLE', table: 'item_side' } as const;
    expect(await restored(runId, side)).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsRestored: 2_000 },
    });
    expect(await countOf("item_side WHERE amount = id * 1.0001 AND note = 'note ' || id")).toBe(2_000);
  });

  it('says so when rows no longer fulfil a check', async () => {
    const runId = await archived(destination);
    await database.run('ALTER TABLE item ADD CHECK (id > 1000)');
    expect(await restored(runId)).toMatchObject({
      state: 'FAILED',
      stateCode: 'CONFLICT',
      stateReason: expect.stringContaining('do not fulfil a check'),
    });
  });
});

it('stops checking an archive when the run is to end meanwhile', async () => {
  const runId = await archived(S3);
  const restoreId = await queueRestore(engine, runId);
  const stopping = new AbortController();
  let read = 0;
  bucket.fault = ({ method }) => {
    if (method === 'GET' && (read += 1) === 2) stopping.abort();
    return null;
  };
  expect(await work(restoreId, stopping.signal)).toMatchObject({ state: 'INTERRUPTED' });
  bucket.fault = () => null;
  expect(read).toBe(2);
  expect(await countOf('item')).toBe(1_000);
  expect(await work(restoreId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsRestored: 2_000 } });
});
