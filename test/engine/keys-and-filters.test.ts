import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RowFilter } from '../../src/domain/filter.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let engine: TestEngine;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
});

afterEach(async () => {
  await engine.close();
  await database.drop();
});

/** Rows are found by their places, so that no key is needed; what a restore can tell about copies is another matter. */
const KEYS = {
  'a key of three columns': 'ALTER TABLE entries ADD PRIMARY KEY (tenant, number, at)',
  'a unique index of some rows only': 'CREATE UNIQUE INDEX ON entries (number) WHERE tenant = 1',
  'a unique index with NULLs': 'CREATE UNIQUE INDEX ON entries (maybe)',
  'a unique index of an expression': 'CREATE UNIQUE INDEX ON entries (lower(note), tenant, number, at)',
  'no key at all, and rows twice': 'INSERT INTO entries SELECT * FROM entries',
};

const FILTER: RowFilter = {
  all: [
    { column: 'tenant', op: 'IN', values: ['1', '3'] },
    {
      any: [
        { column: 'at', op: 'LT', value: '2024-01-01T00:00:00Z' },
        { all: [{ column: 'maybe', op: 'IS_NULL' }, { not: { column: 'number', op: 'GE', value: '900' } }] },
      ],
    },
  ],
};
const BY_HAND = `tenant IN (1, 3) AND (at < '2024-01-01T00:00:00Z' OR (maybe IS NULL AND NOT number >= 900))`;

describe('a table with', () => {
  it.each(Object.entries(KEYS))(
    '%s: exactly the rows of the filter are archived, and come back',
    async (_name, key) => {
      await database.run(`
      CREATE TABLE entries (tenant int, number int, at timestamptz, maybe int, note text);
      INSERT INTO entries SELECT g % 4, g, '2023-06-01'::timestamptz + g * interval '1 day', nullif(g % 5, 0) * 10000 + g, 'Note ' || g FROM generate_series(1, 1000) g;
      ${key}; ANALYZE`);
      const before = await fingerprintOf(database, 'SELECT * FROM entries');
      const stays = await fingerprintOf(database, `SELECT * FROM entries WHERE (${BY_HAND}) IS NOT TRUE`);
      const runId = await engine.queue(
        { name: 'entries' },
        {
          kind: 'ARCHIVE',
          filter: FILTER,
          dependents: 'REFUSE',
          pick: 'HEAP_RANGES',
          destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
        },
      );
      const done = await engine.work(runId);
      expect([done.state, done.result.rowsArchived]).toEqual(['SUCCEEDED', before.rows - stays.rows]);
      expect(stays.rows).toBeGreaterThan(0);
      expect(before.rows - stays.rows).toBeGreaterThan(100);
      expect(await fingerprintOf(database, 'SELECT * FROM entries')).toEqual(stays);
      const archive = await findArchiveByRun(engine.deps.store, runId);
      const restore = await engine.queue(
        { name: 'entries' },
        {
          kind: 'RESTORE',
          archiveId: archive?.id ?? '',
          sourceRunId: runId,
          where: null,
          into: 'SOURCE',
          onConflict: 'REFUSE',
          schema: 'public',
          table: 'entries',
        },
      );
      expect((await engine.work(restore)).state).toBe('SUCCEEDED');
      expect(await fingerprintOf(database, 'SELECT * FROM entries')).toEqual(before);
    },
    60_000,
  );
});
