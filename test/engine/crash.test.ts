import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OperationSpec } from '../../src/domain/plan.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { requireRun } from '../../src/store/runs.ts';
import { testEngine, type TestEngine, STEADY } from '../support/engine.ts';
import { EVERY_TYPE, makeEveryType } from '../support/every-type.ts';
import { fingerprintOf, loadArchive, strayFiles } from '../support/fingerprint.ts';
import { runThroughKills } from '../support/kill-workers.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { SHORT_LEASE } from '../support/spawn-worker.ts';

const SLOW = { ...STEADY, dutyCycle: 0.4, batchRows: 100, batchMs: 2 };
const OLD = { column: 'at', op: 'LT', value: '2024-01-01T00:00:00Z' } as const;

let database: TestDatabase;
let engine: TestEngine;
let original: { rows: number; hash: string };

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database, SHORT_LEASE);
  await database.run(`
    CREATE TABLE event (id bigint PRIMARY KEY, at timestamptz NOT NULL, body jsonb);
    INSERT INTO event SELECT i, '2023-01-01'::timestamptz + i % 730 * interval '1 day', jsonb_build_object('i', i, 'pad', repeat('x', 150))
      FROM generate_series(1, 60000) AS i;
    ANALYZE event`);
  original = await fingerprintOf(database, 'SELECT * FROM event');
});

afterEach(async () => {
  await engine.close();
  await database.drop();
});

const archiveTo = (
  destination: Extract<OperationSpec, { kind: 'ARCHIVE' }>['destination'],
): OperationSpec => ({
  kind: 'ARCHIVE',
  filter: OLD,
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
  destination,
});

describe('a worker killed with -9 three times', () => {
  it('archives to files without losing or doubling a row', async () => {
    const runId = await engine.queue(
      { name: 'event' },
      archiveTo({ kind: 'FILES', store: 'local', format: 'COPY_ZSTD' }),
      { throttle: SLOW },
    );
    await runThroughKills({ database, engine }, runId, { times: SHORT_LEASE });
    const manifest = await loadArchive(database, engine.archiveDir, runId, 'event', 'kept');
    expect(manifest.rows).toBe(30_070);
    expect(await database.run('SELECT count(*)::int AS rows FROM event')).toEqual([{ rows: 29_930 }]);
    expect(await fingerprintOf(database, 'SELECT * FROM event UNION ALL SELECT * FROM kept')).toEqual(
      original,
    );
    expect(await strayFiles(engine.archiveDir, runId, manifest)).toEqual([]);
  }, 120_000);

  it('archives to a table without losing or doubling a row', async () => {
    const runId = await engine.queue(
      { name: 'event' },
      archiveTo({ kind: 'TABLE', schema: 'public', table: 'event_archive' }),
      { throttle: SLOW },
    );
    await runThroughKills({ database, engine }, runId);
    expect(await database.run('SELECT count(*)::int AS rows FROM event_archive')).toEqual([{ rows: 30_070 }]);
    expect(
      await fingerprintOf(database, 'SELECT * FROM event UNION ALL SELECT * FROM event_archive'),
    ).toEqual(original);
  }, 120_000);

  it('purges exactly the rows of the filter', async () => {
    const kept = await fingerprintOf(database, `SELECT * FROM event WHERE at >= '2024-01-01T00:00:00Z'`);
    const runId = await engine.queue(
      { name: 'event' },
      { kind: 'PURGE', filter: OLD, dependents: 'REFUSE', pick: 'HEAP_RANGES' },
      { throttle: SLOW },
    );
    await runThroughKills({ database, engine }, runId);
    expect(await fingerprintOf(database, 'SELECT * FROM event')).toEqual(kept);
    expect((await requireRun(engine.deps.store, runId)).result.rowsDeleted).toBe(original.rows - kept.rows);
  }, 120_000);
});

describe('a table with quoted names and every type, its worker killed with -9 three times', () => {
  const table = `"Sch ""é"""."Ta ble ""☃"", x"`;
  const everything = `SELECT * FROM ${table}`;
  const throttle = { ...SLOW, batchRows: 50 };
  let old: { column: string; op: 'LT'; value: string };
  let before: { rows: number; hash: string };

  beforeEach(async () => {
    await makeEveryType(database, 12_000);
    old = {
      column: 'Old at',
      op: 'LT',
      value: new Date(Date.now() - 3_000.5 * 86_400_000).toISOString(),
    };
    before = await fingerprintOf(database, everything);
  });

  async function isGivenBack(sourceRunId: string): Promise<void> {
    const archive = await findArchiveByRun(engine.deps.store, sourceRunId);
    const restoreId = await engine.queue(EVERY_TYPE, {
      kind: 'RESTORE',
      archiveId: archive?.id ?? '',
      sourceRunId,
      where: null,
      into: 'SOURCE',
      onConflict: 'REFUSE',
      schema: EVERY_TYPE.schema,
      table: EVERY_TYPE.name,
    });
    expect(await engine.work(restoreId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await fingerprintOf(database, everything)).toEqual(before);
  }

  it('is archived to files and given back as it was', async () => {
    const files = archiveTo({ kind: 'FILES', store: 'local', format: 'COPY_ZSTD' });
    const runId = await engine.queue(EVERY_TYPE, { ...files, filter: old } as OperationSpec, { throttle });
    await runThroughKills({ database, engine }, runId);
    const manifest = await loadArchive(database, engine.archiveDir, runId, table, 'kept');
    expect(manifest.rows).toBe(9_000);
    expect(await fingerprintOf(database, `${everything} UNION ALL SELECT * FROM kept`)).toEqual(before);
    expect(await strayFiles(engine.archiveDir, runId, manifest)).toEqual([]);
    await isGivenBack(runId);
  }, 120_000);

  it('is archived to a table and given back as it was', async () => {
    const toTable = archiveTo({ kind: 'TABLE', schema: 'public', table: 'kept' });
    const runId = await engine.queue(EVERY_TYPE, { ...toTable, filter: old } as OperationSpec, { throttle });
    await runThroughKills({ database, engine }, runId);
    expect(await database.run('SELECT count(*)::int AS rows FROM kept')).toEqual([{ rows: 9_000 }]);
    expect(await fingerprintOf(database, `${everything} UNION ALL SELECT * FROM kept`)).toEqual(before);
    await isGivenBack(runId);
  }, 120_000);

  it('is purged of exactly the rows of the filter', async () => {
    const kept = await fingerprintOf(database, `${everything} WHERE "Old at" >= '${old.value}'`);
    const runId = await engine.queue(
      EVERY_TYPE,
      { kind: 'PURGE', filter: old, dependents: 'REFUSE', pick: 'HEAP_RANGES' },
      { throttle },
    );
    await runThroughKills({ database, engine }, runId);
    expect(await fingerprintOf(database, everything)).toEqual(kept);
    expect((await requireRun(engine.deps.store, runId)).result.rowsDeleted).toBe(9_000);
  }, 120_000);
});
