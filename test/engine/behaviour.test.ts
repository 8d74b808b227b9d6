import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { makeArchiveUseCases } from '../../src/archive/archive-use-cases.ts';
import { makeRunControl } from '../../src/engine/control-run.ts';
import type { EngineDeps } from '../../src/engine/execute-run.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { interruptLost } from '../../src/store/leases.ts';
import type { RunView } from '../../src/store/runs.ts';
import { Session } from '../../src/target/session.ts';
import { hurry, testEngine, type TestEngine, STEADY } from '../support/engine.ts';
import { until as untilIn } from '../support/fault-scene.ts';
import { fingerprintOf, loadArchive, strayFiles } from '../support/fingerprint.ts';
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

const control = () => makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } });

const queue = (spec: OperationSpec, throttle = SLOW) => engine.queue({ name: 'item' }, spec, { throttle });

const until = (runId: string, seen: (run: RunView) => boolean): Promise<RunView> =>
  untilIn(engine, runId, seen);

const begun = (run: RunView) => run.progress.rowsDone > 0;

/** Waits for a lock no longer than this. */
const impatient = (lockTimeoutMs = 200): Pick<EngineDeps, 'connect'> => ({
  connect: (_id, settings) => Session.open(database.address, { ...settings, lockTimeoutMs }),
});

const count = async (where: string) =>
  (await database.run(`SELECT count(*)::int AS n FROM item WHERE ${where}`))[0]?.['n'];

describe('what others do meanwhile', () => {
  it('keeps a row that an UPDATE takes out of the filter, with its new value', async () => {
    await other.query(`BEGIN; UPDATE item SET old = false, note = 'rescued' WHERE id IN (29997, 30000)`);
    const runId = await queue(FILES, { ...SLOW, dutyCycle: 1 });
    const work = engine.work(runId);
    await until(runId, begun);
    await other.query('COMMIT');
    expect(await work).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 9_998 } });
    expect(await database.run(`SELECT id::int, note FROM item WHERE note = 'rescued' ORDER BY id`)).toEqual([
      { id: 29_997, note: 'rescued' },
      { id: 30_000, note: 'rescued' },
    ]);
  });

  it('finds rows that an UPDATE moved into blocks already passed', async () => {
    await database.run('DELETE FROM item WHERE id <= 600');
    await database.run('VACUUM item');
    const runId = await queue(PURGE);
    const work = engine.work(runId);
    await until(runId, (run) => run.progress.rowsDone > 2_000);
    await other.query(`UPDATE item SET old = true, note = repeat('moved', 100) WHERE id > 29000`);
    await hurry(engine, runId);
    await work;
    expect(await count('old')).toBe(0);
  });

  it('waits for a row lock, then pauses and names who holds it', async () => {
    await other.query(`SET application_name = 'payroll'; BEGIN; SELECT FROM item WHERE id = 3 FOR UPDATE`);
    const run = await engine.work(await queue(PURGE), undefined, impatient());
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'LOCKED' });
    expect(run.stateReason).toMatch(/payroll/);
    await other.query('ROLLBACK');
    await hurry(engine, run.id);
    await control().resume(run.id, BY);
    expect(await engine.work(run.id)).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 10_000 } });
  }, 60_000);
});

describe('what people ask', () => {
  it('pauses after the batch with the archive sealed, and resumes from there', async () => {
    const original = await fingerprintOf(database, 'SELECT * FROM item');
    const runId = await queue(FILES);
    const work = engine.work(runId);
    await until(runId, begun);
    await control().pause(runId, 'lunch', BY);
    const paused = await work;
    expect(paused).toMatchObject({ state: 'PAUSED', stateCode: 'PAUSED_BY_REQUEST' });
    const archive = await findArchiveByRun(engine.deps.store, runId);
    expect(archive?.rows).toBe(paused.progress.rowsDone);
    expect(await count('true')).toBe(original.rows - paused.progress.rowsDone);
    await control().resume(runId, BY);
    await control().updateThrottle(runId, { dutyCycle: 1, batchRows: 5_000 }, BY);
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 10_000 } });
  });

  it('cancels after the batch, and what was archived verifies', async () => {
    const runId = await queue(FILES);
    const work = engine.work(runId);
    await until(runId, begun);
    await control().cancel(runId, null, BY);
    const run = await work;
    expect(run.state).toBe('CANCELLED');
    const archive = await findArchiveByRun(engine.deps.store, runId);
    const verification = await makeArchiveUseCases(engine.deps).verify(archive?.id ?? '', BY);
    expect(verification).toMatchObject({
      ok: true,
      rowsChecked: 30_000 - Number(await count('true')),
      problems: [],
    });
    expect(verification.rowsChecked).toBeGreaterThan(0);
    await expect(control().resume(runId, BY)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('hands a run back when the worker shuts down, and another goes on', async () => {
    const stopping = new AbortController();
    const runId = await queue(PURGE);
    const work = engine.work(runId, stopping.signal);
    await until(runId, begun);
    stopping.abort();
    expect(await work).toMatchObject({ state: 'INTERRUPTED', stateCode: 'WORKER_STOPPED' });
    await control().updateThrottle(runId, { dutyCycle: 1, batchRows: 5_000 }, BY);
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 10_000 } });
  });
});

describe('what has changed since the plan', () => {
  it('pauses when a column is added between two batches, with nothing lost', async () => {
    const runId = await queue(FILES);
    const work = engine.work(runId);
    await until(runId, begun);
    await other.query('ALTER TABLE item ADD COLUMN extra int');
    const run = await work;
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    const archive = await findArchiveByRun(engine.deps.store, runId);
    expect(Number(await count('true')) + (archive?.rows ?? 0)).toBe(30_000);
  });

  it('never lets a cascade carry off children that came after the plan', async () => {
    await database.run(`CREATE TABLE child (item bigint REFERENCES item ON DELETE CASCADE); CREATE INDEX ON child (item);
      INSERT INTO child VALUES (29997)`);
    const run = await engine.work(await queue(PURGE, { ...SLOW, dutyCycle: 1 }));
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'DEPENDENTS' });
    expect(await database.run('SELECT item::int FROM child')).toEqual([{ item: 29_997 }]);
    expect(await count('id = 29997')).toBe(1);
  });

  it('stops when more rows match than the plan has counted', async () => {
    const runId = await engine.queue({ name: 'item' }, PURGE, { rows: 3_000, rowsAreExact: true });
    const run = await engine.work(runId);
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'LIMIT' });
    expect(run.progress.rowsDone).toBeLessThan(6_000);
  });
});

describe('two workers', () => {
  it('lets only the newer one commit', async () => {
    const runId = await queue(FILES);
    const first = engine.work(runId);
    await until(runId, begun);
    await engine.deps.store.prisma
      .$executeRaw`UPDATE run SET "leaseUntil" = now() - interval '1 second' WHERE id = ${runId}::uuid`;
    await interruptLost(engine.deps.store);
    await control().updateThrottle(runId, { dutyCycle: 1, batchRows: 5_000 }, BY);
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    await first;
    const archive = await findArchiveByRun(engine.deps.store, runId);
    expect(archive?.rows).toBe(10_000);
    expect(await count('true')).toBe(20_000);
    expect(await makeArchiveUseCases(engine.deps).verify(archive?.id ?? '', BY)).toMatchObject({
      ok: true,
      rowsChecked: 10_000,
    });
  });
});

describe('what comes in between', () => {
  it('does not forget a cancel when the worker shuts down at the same time', async () => {
    const stopping = new AbortController();
    const runId = await queue(PURGE);
    const work = engine.work(runId, stopping.signal);
    await until(runId, begun);
    stopping.abort();
    await control().cancel(runId, null, BY);
    expect(['INTERRUPTED', 'CANCELLED']).toContain((await work).state);
    expect((await engine.work(runId)).state).toBe('CANCELLED');
    expect(await count('old')).toBeGreaterThan(0);
  });

  it('seals and cancels though the table was renamed', async () => {
    const stopping = new AbortController();
    const runId = await queue(FILES);
    const work = engine.work(runId, stopping.signal);
    await until(runId, begun);
    stopping.abort();
    await work;
    await other.query('ALTER TABLE item RENAME TO renamed');
    expect(await engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    await control().cancel(runId, null, BY);
    expect(await engine.work(runId)).toMatchObject({ state: 'CANCELLED' });
    const archive = await findArchiveByRun(engine.deps.store, runId);
    const [live] = await database.run('SELECT count(*)::int AS n FROM renamed');
    expect((archive?.rows ?? 0) + Number(live?.['n'])).toBe(30_000);
  });

  it('never commits more rows than the limit, however often it is resumed', async () => {
    const limits = { maxRows: 1_000, maxShare: null, maxDurationMs: null };
    const runId = await engine.queue({ name: 'item' }, PURGE, { limits, throttle: SLOW });
    for (let tries = 0; tries < 3; tries += 1) {
      expect(await engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'LIMIT' });
      await control().resume(runId, BY);
    }
    expect(Number(await count('old'))).toBeGreaterThanOrEqual(9_000);
  });

  it('does not blame a trigger when the last rows were taken out of the filter meanwhile', async () => {
    const runId = await engine.queue(
      { name: 'item' },
      { ...PURGE, pick: 'INDEX', filter: { column: 'id', op: 'EQ', value: '3' } },
    );
    await other.query('BEGIN; UPDATE item SET id = DEFAULT WHERE id = 3');
    const work = engine.work(runId);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await other.query('COMMIT');
    expect(await work).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 0 } });
  });

  it('takes a segment over when the ledger could not be told that it was sealed', async () => {
    const original = await fingerprintOf(database, 'SELECT * FROM item');
    const runId = await queue(FILES);
    const work = engine.work(runId);
    await until(runId, begun);
    // The list of segments is locked while the pause seals: renaming has happened, telling the ledger fails.
    await other.query('BEGIN; LOCK TABLE declutter.segment IN SHARE MODE');
    await control().pause(runId, null, BY);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    await other.query('COMMIT');
    expect(await work).toMatchObject({ state: 'PAUSED', stateCode: 'PAUSED_BY_REQUEST' });
    await control().updateThrottle(runId, { dutyCycle: 1, batchRows: 5_000 }, BY);
    await control().resume(runId, BY);
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 10_000 } });
    const archive = await findArchiveByRun(engine.deps.store, runId);
    expect(await makeArchiveUseCases(engine.deps).verify(archive?.id ?? '', BY)).toMatchObject({
      ok: true,
      rowsChecked: 10_000,
    });
    const manifest = await loadArchive(database, engine.archiveDir, runId, 'item', 'kept');
    expect(await fingerprintOf(database, 'SELECT * FROM item UNION ALL SELECT * FROM kept')).toEqual(
      original,
    );
    expect(await strayFiles(engine.archiveDir, runId, manifest)).toEqual([]);
  }, 60_000);

  it('goes on when the session that watches the database is lost', async () => {
    const runId = await queue(PURGE);
    const work = engine.work(runId);
    await until(runId, begun);
    await database.run(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'declutter/%/watch'`,
    );
    await control().updateThrottle(runId, { dutyCycle: 1, batchRows: 5_000 }, BY);
    expect(await work).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 10_000 } });
  });
});
