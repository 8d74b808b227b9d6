import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import type { OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { DeclutterError } from '../../src/errors.ts';
import { makeArchiveUseCases } from '../../src/archive/archive-use-cases.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { testEngine, type TestEngine, STEADY } from '../support/engine.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

const OLD = { column: 'old', op: 'EQ', value: 'true' } as const;

const PURGE: OperationSpec = { kind: 'PURGE', filter: OLD, dependents: 'REFUSE', pick: 'HEAP_RANGES' };

const FILES: OperationSpec = {
  ...PURGE,
  kind: 'ARCHIVE',
  destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
};

const SLOW = { ...STEADY, dutyCycle: 0.05, batchRows: 300, batchMs: 2 };

const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};

let database: TestDatabase;

let engine: TestEngine;

let other: pg.Client;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database, { leaseMs: 3_000, heartbeatMs: 100 });
  other = new pg.Client({ connectionString: database.url });
  await other.connect();
  await database.run(`
    CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, old boolean NOT NULL, note text);
    INSERT INTO item (old, note) SELECT i % 3 = 0, repeat('note ' || i, 20) FROM generate_series(1, 30000) AS i;
    ANALYZE item`);
});

afterEach(async () => {
  await other.end();
  await engine.close();
  await database.drop();
});

const queue = (spec: OperationSpec, throttle = SLOW) => engine.queue({ name: 'item' }, spec, { throttle });

const count = async (where: string) =>
  (await database.run(`SELECT count(*)::int AS n FROM item WHERE ${where}`))[0]?.['n'];

describe('damage to an archive', () => {
  it('is named by verify, and a restore puts nothing back', async () => {
    const runId = await queue(FILES, { ...SLOW, dutyCycle: 1, batchRows: 5_000 });
    await engine.work(runId);
    const folder = path.join(engine.archiveDir, runId);
    const [segment] = (await readdir(folder)).filter((name) => name.endsWith('.zst'));
    await writeFile(path.join(folder, segment ?? ''), Buffer.from([0]), { flag: 'r+' });
    const archive = await findArchiveByRun(engine.deps.store, runId);
    const verification = await makeArchiveUseCases(engine.deps).verify(archive?.id ?? '', BY);
    expect(verification.ok).toBe(false);
    expect(verification.problems[0]?.message).toContain(segment);
    const restoreId = await queue({
      kind: 'RESTORE',
      archiveId: archive?.id ?? '',
      sourceRunId: runId,
      where: null,
      into: 'SOURCE',
      onConflict: 'REFUSE',
      schema: 'public',
      table: 'item',
    });
    expect(await engine.work(restoreId)).toMatchObject({
      state: 'FAILED',
      stateCode: 'ARCHIVE_DAMAGED',
      result: { rowsRestored: 0 },
    });
    expect(await count('true')).toBe(20_000);
  });
});

describe('maintenance', () => {
  it('rebuilds an index beside the old one and says how much came back', async () => {
    await database.run(`CREATE INDEX item_note ON item (note); DELETE FROM item WHERE id % 10 <> 0`);
    await database.run('VACUUM item');
    const [index] = await database.run(`SELECT 'item_note'::regclass::oid::int AS oid`);
    const runId = await queue({
      kind: 'REINDEX',
      indexes: [{ oid: index?.['oid'] as number, schema: 'public', name: 'item_note' }],
    });
    const run = await engine.work(runId);
    expect(run).toMatchObject({ state: 'SUCCEEDED' });
    expect(run.result.bytesReclaimed).toBeGreaterThan(1_000_000);
    expect(await database.run(`SELECT count(*)::int AS n FROM pg_index WHERE NOT indisvalid`)).toEqual([
      { n: 0 },
    ]);
  });

  it('vacuums', async () => {
    await database.run('DELETE FROM item WHERE old');
    const run = await engine.work(await queue({ kind: 'REORGANIZATION', method: 'VACUUM' }));
    expect(run.state).toBe('SUCCEEDED');
    const free = await database.run(
      `CREATE EXTENSION pg_freespacemap; SELECT sum(avail)::int AS free FROM pg_freespace('item')`,
    );
    expect(free[0]?.['free']).toBeGreaterThan(500_000);
  });
});

describe('a lost ledger', () => {
  it('does not make a restore come back with nothing', async () => {
    const original = await fingerprintOf(database, 'SELECT * FROM item');
    const runId = await queue(FILES, { ...SLOW, dutyCycle: 1, batchRows: 5_000 });
    await engine.work(runId);
    await database.run('DROP SCHEMA declutter CASCADE');
    const archive = await findArchiveByRun(engine.deps.store, runId);
    const restoreId = await queue(
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
      { ...SLOW, dutyCycle: 1 },
    );
    expect(await engine.work(restoreId)).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsRestored: 10_000 },
    });
    expect(await fingerprintOf(database, 'SELECT * FROM item')).toEqual(original);
  });
});

describe('another database at the address', () => {
  it('fails the run with that reason', async () => {
    const refuse = () => Promise.reject(new DeclutterError('PRECONDITION_FAILED', 'Another server answers.'));
    const runId = await queue(PURGE);
    const run = await engine.work(runId, undefined, { connect: refuse });
    expect(run).toMatchObject({ state: 'FAILED', stateCode: 'IDENTITY_CHANGED' });
    expect(await count('true')).toBe(30_000);
  });
});

describe('wide rows', () => {
  it('makes batches smaller until they fit, down to a row that is wider than a batch may be', async () => {
    await database.run(`
      UPDATE item SET note = repeat('wide ', 1000000) WHERE id IN (3, 6, 9, 12, 15, 18);
      UPDATE item SET note = repeat('too wide ', 2500000) WHERE id = 30000`);
    const runId = await queue(FILES, { ...SLOW, dutyCycle: 1, batchRows: 5_000 });
    const run = await engine.work(runId);
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 10_000 } });
  });
});

describe('rows that will not go', () => {
  it('stops and says so when a trigger keeps them', async () => {
    await database.run(`
      CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id % 2 = 0 THEN RETURN NULL; END IF; RETURN OLD; END $$;
      CREATE TRIGGER keep BEFORE DELETE ON item FOR EACH ROW EXECUTE FUNCTION keep()`);
    const run = await engine.work(await queue(FILES, { ...SLOW, dutyCycle: 1, batchRows: 5_000 }));
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'ROWS_KEPT', result: { rowsArchived: 5_000 } });
    expect(await count('old')).toBe(5_000);
    expect(await findArchiveByRun(engine.deps.store, run.id)).toMatchObject({ rows: 5_000 });
  });
});
