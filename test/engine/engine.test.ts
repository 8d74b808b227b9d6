import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OperationSpec } from '../../src/domain/plan.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let engine: TestEngine;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
  await database.run(`
    CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, old boolean NOT NULL, note text,
                       twice bigint GENERATED ALWAYS AS (length(note) * 2) STORED);
    INSERT INTO item (old, note) SELECT i % 3 = 0, 'note ' || i || E'\\t\\\\ \\n' FROM generate_series(1, 30000) AS i;
    ANALYZE item`);
});

afterEach(async () => {
  await engine.close();
  await database.drop();
});

const OLD = { column: 'old', op: 'EQ', value: 'true' } as const;
const fingerprint = async (source: string) =>
  (
    await database.run(
      `SELECT count(*)::int AS rows, md5(string_agg(t::text, '|' ORDER BY t::text)) AS hash FROM (${source}) AS t`,
    )
  )[0];

describe('a purge', () => {
  for (const pick of ['HEAP_RANGES', 'INDEX'] as const) {
    it(`deletes exactly the rows of the filter (${pick})`, async () => {
      const kept = await fingerprint('SELECT * FROM item WHERE NOT old');
      const run = await engine.work(
        await engine.queue({ name: 'item' }, { kind: 'PURGE', filter: OLD, dependents: 'REFUSE', pick }),
      );
      expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 10_000 } });
      expect(await fingerprint('SELECT * FROM item')).toEqual(kept);
      expect(run.progress.batches).toBeGreaterThan(5);
    });
  }
});

describe('an archive', () => {
  const destinations = {
    FILES: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
    TABLE: { kind: 'TABLE', schema: 'public', table: 'item_archive' },
  } as const;
  for (const destination of Object.values(destinations)) {
    it(`keeps what it deletes and gives it back (${destination.kind})`, async () => {
      const original = await fingerprint('SELECT * FROM item');
      const spec: OperationSpec = {
        kind: 'ARCHIVE',
        filter: OLD,
        dependents: 'REFUSE',
        pick: 'HEAP_RANGES',
        destination,
      };
      const runId = await engine.queue({ name: 'item' }, spec);
      expect(await engine.work(runId)).toMatchObject({
        state: 'SUCCEEDED',
        result: { rowsArchived: 10_000, rowsDeleted: 10_000 },
      });
      const archive = await findArchiveByRun(engine.deps.store, runId);
      expect(archive).toMatchObject({ kind: destination.kind, rows: 10_000 });
      expect(await database.run('SELECT count(*)::int AS rows FROM item')).toEqual([{ rows: 20_000 }]);

      const restoreId = await engine.queue(
        { name: 'item' },
        {
          kind: 'RESTORE',
          archiveId: archive?.id ?? '',
          sourceRunId: runId,
          where: null,
          into: 'SOURCE',
          onConflict: 'REFUSE',
          schema: 'public',
          table: 'item',
        },
      );
      expect(await engine.work(restoreId)).toMatchObject({
        state: 'SUCCEEDED',
        result: { rowsRestored: 10_000 },
      });
      expect(await fingerprint('SELECT * FROM item')).toEqual(original);
    });
  }
});
