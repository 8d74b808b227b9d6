import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeArchiveUseCases } from '../../src/archive/archive-use-cases.ts';
import { sideTableOf } from '../../src/domain/archive-tables.ts';
import type { ArchiveDestination, OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { requireRun, type RunView } from '../../src/store/runs.ts';
import { FAST, testEngine, type TestEngine } from '../support/engine.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../support/postgres.ts';
import { s3Server } from '../support/s3-server.ts';
import {
  EVERY_ROW,
  expectedToGo,
  makeShop,
  partedCustomers,
  wronglyTreated,
} from '../support/shop-with-everything.ts';

type Restore = Extract<OperationSpec, { kind: 'RESTORE' }>;

const bucket = await s3Server();
afterAll(() => bucket.close());

const DESTINATIONS: ArchiveDestination[] = [
  { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
  { kind: 'S3', store: 's3', format: 'COPY_ZSTD' },
  { kind: 'TABLE', schema: 'public', table: 'kept' },
];
const SMALL = { ...FAST, batchRows: 80, batchMs: 10 };

const archiveTo = (destination: ArchiveDestination): OperationSpec => ({
  kind: 'ARCHIVE',
  filter: { column: 'old', op: 'EQ', value: 'true' },
  dependents: 'INCLUDE',
  pick: 'HEAP_RANGES',
  destination,
});

let database: TestDatabase;
let engine: TestEngine;

async function open(version?: Parameters<typeof testDatabase>[0]): Promise<void> {
  database = await testDatabase(version);
  engine = await testEngine(database, undefined, bucket.settings);
  await makeShop(database);
}

afterEach(async () => {
  await engine.close();
  await database.drop();
});

async function archived(destination: ArchiveDestination): Promise<string> {
  const runId = await engine.queue({ name: 'customers' }, archiveTo(destination), { throttle: SMALL });
  expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
  return runId;
}

async function restored(sourceRunId: string, change: Partial<Restore> = {}): Promise<RunView> {
  const archive = await findArchiveByRun(engine.deps.store, sourceRunId);
  const restore: Restore = {
    kind: 'RESTORE',
    archiveId: archive?.id ?? '',
    sourceRunId,
    where: null,
    into: 'SOURCE',
    onConflict: 'REFUSE',
    schema: 'public',
    table: 'customers',
    ...change,
  };
  return engine.work(
    await engine.queue({ name: restore.into === 'SOURCE' ? restore.table : 'customers' }, restore, {
      throttle: SMALL,
    }),
  );
}

const oldestAndNewest = availableVersions().filter((version) => version === 14 || version === 18);
const cases = DESTINATIONS.flatMap((destination) =>
  oldestAndNewest.map((version) => ({ ...destination, version, destination })),
);

describe.each(cases)(
  'an archive to $kind with what references its rows, on PostgreSQL $version',
  ({ version, destination }) => {
    beforeEach(() => open(version));

    it('takes exactly the whole closure, and a restore brings every row and reference back', async () => {
      const before = await fingerprintOf(database, EVERY_ROW);
      const gone = await expectedToGo(database);
      const runId = await archived(destination);
      expect(await wronglyTreated(database)).toBe(0);
      const archive = await findArchiveByRun(engine.deps.store, runId);
      expect(archive?.rows).toBe(gone);
      expect(await restored(runId)).toMatchObject({
        state: 'SUCCEEDED',
        stateReason: null,
        result: { rowsRestored: gone, nextStep: null },
      });
      expect(await fingerprintOf(database, EVERY_ROW)).toEqual(before);
    }, 60_000);
  },
);

const countOf = async (source: string): Promise<unknown> =>
  (await database.run(`SELECT count(*)::int AS n FROM ${source}`))[0]?.['n'];

const FILES = DESTINATIONS[0] as ArchiveDestination;

describe('what may happen meanwhile', () => {
  beforeEach(() => open());

  it('archives a child that comes while the batch waits for its parent', async () => {
    const other = await database.session({ readOnly: false });
    await other.script(`BEGIN; INSERT INTO orders VALUES (1, 9001, 1, 1)`); // holds customer 1 until it commits
    const runId = await engine.queue({ name: 'customers' }, archiveTo(FILES), { throttle: SMALL });
    const working = engine.work(runId);
    await sleep(1_000);
    await other.script('COMMIT');
    expect(await working).toMatchObject({ state: 'SUCCEEDED' });
    expect(await countOf('orders WHERE id = 9001')).toBe(0);
    await other.close();
    expect(await restored(runId)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
    expect(await countOf('orders WHERE id = 9001 AND customer = 1')).toBe(1);
  }, 60_000);

  it('leaves no customer without its orders when it is cancelled, and brings back what had gone', async () => {
    const before = await fingerprintOf(database, EVERY_ROW);
    const throttle = { ...DEFAULT_THROTTLE, dutyCycle: 0.05, batchRows: 50, batchMs: 2 };
    const runId = await engine.queue({ name: 'customers' }, archiveTo(FILES), { throttle });
    const working = engine.work(runId);
    while ((await requireRun(engine.deps.store, runId)).progress.rowsDone === 0) await sleep(20);
    await engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'CANCELLING' } });
    expect((await working).state).toBe('CANCELLED');
    expect(await countOf('customers WHERE old')).toBeGreaterThan(0);
    expect(await partedCustomers(database)).toBe(0);
    expect(await restored(runId)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
    expect(await fingerprintOf(database, EVERY_ROW)).toEqual(before);
  }, 60_000);

  it('takes nothing when a trigger keeps a row of another table, so that it would reference what is gone', async () => {
    await database.run(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER keep BEFORE DELETE ON "Line notes" FOR EACH ROW EXECUTE FUNCTION keep()`);
    const before = await fingerprintOf(database, EVERY_ROW);
    const runId = await engine.queue({ name: 'customers' }, archiveTo(FILES), {
      throttle: { ...SMALL, batchRows: 1_000 },
    });
    expect(await engine.work(runId)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'DEPENDENTS',
      result: { rowsArchived: 0 },
    });
    expect(await fingerprintOf(database, EVERY_ROW)).toEqual(before);
  }, 60_000);

  it('stops where a key leads to one partition alone, since its cascade would be seen by nobody', async () => {
    await database.run(
      `CREATE TABLE stray (line int REFERENCES lines_low ON DELETE CASCADE); INSERT INTO stray VALUES (7)`,
    );
    const before = await fingerprintOf(database, EVERY_ROW);
    const runId = await engine.queue({ name: 'customers' }, archiveTo(FILES), {
      throttle: { ...SMALL, batchRows: 1_000 },
    });
    expect(await engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'SCHEMA_DRIFT' });
    expect(await countOf('stray')).toBe(1);
    expect(await fingerprintOf(database, EVERY_ROW)).toEqual(before);
  }, 60_000);
});

describe.each(DESTINATIONS)('a restore of several tables from $kind', (destination) => {
  beforeEach(() => open());

  it('points back only what still has the NULL or the default, and says how many it left', async () => {
    const runId = await archived(destination);
    const [lost] = await database.run('SELECT id FROM tasks WHERE customer IS NULL ORDER BY id LIMIT 1');
    await database.run(`UPDATE tasks SET customer = 3 WHERE id = ${String(lost?.['id'])}`);
    const run = await restored(runId);
    expect(run).toMatchObject({
      state: 'SUCCEEDED',
      result: { nextStep: expect.stringMatching(/^1 references were not pointed back/) },
    });
    expect(await countOf(`tasks WHERE id = ${String(lost?.['id'])} AND customer = 3`)).toBe(1);
    expect(await countOf('tasks WHERE customer IS NULL')).toBe(0);
  }, 60_000);

  it('takes along what went with the rows that a filter chooses', async () => {
    await database.run(`UPDATE customers SET referred_by = NULL WHERE old; UPDATE lines SET customer = NULL`);
    const runId = await archived(destination);
    const where = { column: 'id', op: 'EQ', value: '205' } as const;
    expect(await restored(runId, { where })).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
    // Customer 206 was referred by 205; both have two orders, with two lines each.
    const [back] =
      await database.run(`SELECT (SELECT string_agg(id::text, ',' ORDER BY id) FROM customers WHERE id IN (SELECT key::int FROM gone WHERE t = 'customers')) AS customers,
      (SELECT count(*)::int FROM orders WHERE customer IN (205, 206)) AS orders,
      (SELECT count(*)::int FROM lines l JOIN orders o ON o.region = l.region AND o.id = l."order" WHERE o.customer IN (205, 206)) AS lines`);
    expect(back).toEqual({ customers: '205,206', orders: 4, lines: 8 });
  }, 60_000);

  it('fills a side table for each, with every row', async () => {
    const runId = await archived(destination);
    const table = sideTableOf('customers', 0, runId);
    const gone = await expectedToGo(database);
    expect(await restored(runId, { into: 'SIDE_TABLE', table })).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsRestored: gone },
    });
    for (const name of ['customers', 'orders', 'lines', 'Line notes']) {
      const rows = await countOf(`"${sideTableOf(name, 1, runId)}"`);
      expect([name, rows]).toEqual([name, await countOf(`gone WHERE t = '${name}'`)]);
    }
  }, 60_000);

  it('names the table whose keys are taken, and leaves those rows out when asked to', async () => {
    const runId = await archived(destination);
    await database.run(
      `INSERT INTO orders SELECT region, id, 3, 0 FROM (SELECT split_part(key, '/', 1)::int AS region, split_part(key, '/', 2)::int AS id FROM gone WHERE t = 'orders' ORDER BY key LIMIT 1) x`,
    );
    const failed = await restored(runId);
    expect(failed).toMatchObject({
      state: 'FAILED',
      stateCode: 'CONFLICT',
      stateReason: expect.stringMatching(/1 find their keys taken in public\.orders\./),
    });
    const back = failed.progress.rowsDone;
    expect(await restored(runId, { onConflict: 'SKIP' })).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsRestored: (await expectedToGo(database)) - back - 1 },
    });
    expect(await wronglyTreated(database)).toBe(await expectedToGo(database));
  }, 60_000);

  it('is found whole by a check, which sees damage in any of the tables', async () => {
    const runId = await archived(destination);
    const id = (await findArchiveByRun(engine.deps.store, runId))?.id ?? '';
    const archives = makeArchiveUseCases(engine.deps);
    const gone = await expectedToGo(database);
    const checked = await archives.verify(id, {} as Principal);
    expect(checked).toMatchObject({ ok: true, problems: [] });
    expect(checked.rowsChecked).toBeGreaterThan(gone); // and lost references
    const tables = await archives.tables(id);
    expect(tables.map(({ table }) => table).sort()).toEqual(['Line notes', 'customers', 'lines', 'orders']);
    expect(tables.reduce((sum, { rows }) => sum + rows, 0)).toBe(gone);
    if (destination.kind !== 'TABLE') return;
    await database.run('DELETE FROM orders_archive');
    expect(await archives.verify(id, {} as Principal)).toMatchObject({ ok: false });
    expect(await restored(runId)).toMatchObject({ state: 'FAILED', stateCode: 'ARCHIVE_DAMAGED' });
  }, 60_000);

  it('brings back a tree that was archived leaf by leaf', async () => {
    await database.run(`CREATE TABLE node (id int PRIMARY KEY, up int REFERENCES node, pad text);
      INSERT INTO node SELECT i, CASE WHEN i < 3000 THEN i + 1 END, repeat('x', 100) FROM generate_series(1, 3000) i; ANALYZE node`);
    const before = await fingerprintOf(database, 'SELECT * FROM node');
    const operation: OperationSpec = {
      ...(archiveTo(
        destination.kind === 'TABLE' ? { ...destination, table: 'nodes_kept' } : destination,
      ) as Extract<OperationSpec, { kind: 'ARCHIVE' }>),
      filter: { column: 'id', op: 'LE', value: '2900' },
      dependents: 'REFUSE',
    };
    const runId = await engine.queue({ name: 'node' }, operation, { throttle: { ...SMALL, batchRows: 400 } });
    expect(await engine.work(runId)).toMatchObject({
      state: 'SUCCEEDED',
      stateReason: null,
      result: { rowsArchived: 2_900 },
    });
    expect(await restored(runId, { table: 'node' })).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
    expect(await fingerprintOf(database, 'SELECT * FROM node')).toEqual(before);
  }, 60_000);
});
