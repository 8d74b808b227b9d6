import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { makeArchiveUseCases } from '../../../src/archive/archive-use-cases.ts';
import type { ArchiveDestination, OperationSpec } from '../../../src/domain/plan.ts';
import type { Principal } from '../../../src/domain/principal.ts';
import { makeRunControl } from '../../../src/engine/control-run.ts';
import { makeCheckPlanFresh } from '../../../src/planning/check-plan.ts';
import { makePlans } from '../../../src/planning/plan-use-cases.ts';
import { makeProtection } from '../../../src/planning/protection-use-cases.ts';
import { type ArchiveView, findArchiveByRun } from '../../../src/store/archives.ts';
import { createRun } from '../../../src/store/runs.ts';
import type { PlanView } from '../../../src/store/plans.ts';
import { FAST, testEngine, type TestEngine } from '../../support/engine.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { s3Server, type S3Server } from '../../support/s3-server.ts';

const FILES: ArchiveDestination = { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' };
const TABLE: ArchiveDestination = { kind: 'TABLE', schema: 'public', table: 'kept' };
const S3: ArchiveDestination = { kind: 'S3', store: 's3', format: 'COPY_ZSTD' };
const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['ADMIN'],
  isMachine: false,
  mayApprove: true,
};

let database: TestDatabase;
let engine: TestEngine;
let bucket: S3Server;

beforeEach(async () => {
  database = await testDatabase();
  bucket = await s3Server();
  engine = await testEngine(database, undefined, bucket.settings);
  await database.run(`
    CREATE TABLE item (id int PRIMARY KEY, note text);
    INSERT INTO item SELECT i, 'note ' || i FROM generate_series(1, 2000) AS i; ANALYZE item`);
});

afterEach(async () => {
  await engine.close();
  await bucket.close();
  await database.drop();
});

const plans = () => makePlans({ ...engine.deps, replicas: () => Promise.resolve([]) });
const control = () => makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } });

async function archived(destination: ArchiveDestination): Promise<ArchiveView> {
  const operation: OperationSpec = {
    kind: 'ARCHIVE',
    filter: { column: 'id', op: 'LE', value: '1500' },
    dependents: 'REFUSE',
    pick: 'HEAP_RANGES',
    destination,
  };
  const run = await engine.work(await engine.queue({ name: 'item' }, operation));
  expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 1_500 } });
  return found(run.id);
}

const found = async (runId: string) => (await findArchiveByRun(engine.deps.store, runId)) as ArchiveView;
const codes = ({ forecast }: PlanView) => forecast.blockers.map(({ code }) => code);
const plan = (archive: ArchiveView) => plans().archiveExpiry(archive.id, 'the law', BY);

async function queued({ id, databaseId, spec: planned }: PlanView): Promise<string> {
  const spec = { ...planned, throttle: FAST };
  const idempotency = { principal: 'test', key: id, request: id };
  return createRun(engine.deps.store, { planId: id, databaseId, startedBy: 'test', spec, idempotency });
}

const restoreOf = ({ id, runId }: ArchiveView): OperationSpec => ({
  kind: 'RESTORE',
  archiveId: id,
  sourceRunId: runId,
  where: null,
  into: 'SOURCE',
  onConflict: 'REFUSE',
  schema: 'public',
  table: 'item',
});

describe('the end of an archive', () => {
  it('in files leaves its tombstone, and nothing else', async () => {
    const archive = await archived(FILES);
    const planned = await plan(archive);
    expect(planned.spec.kind).toBe('ARCHIVE_EXPIRY');
    expect([codes(planned), planned.forecast.impact]).toMatchObject([
      [],
      { rows: 1_500, bytesReclaimed: archive.bytes },
    ]);
    const run = await engine.work(await queued(planned));
    expect(run).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 0 } });
    expect(await readdir(path.join(engine.archiveDir, archive.runId))).toEqual(['manifest.json']);
    const text = await readFile(path.join(engine.archiveDir, archive.runId, 'manifest.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({
      rows: 1_500,
      expired: { run: run.id },
      segments: [{ rows: 1_500 }],
    });
    expect(await found(archive.runId)).toMatchObject({
      state: 'EXPIRED',
      rows: 1_500,
      expiredAt: expect.any(Date),
    });
    expect(await database.run('SELECT count(*)::int AS n FROM item')).toEqual([{ n: 500 }]);
  });

  it('in a table drops that table alone', async () => {
    const [first, second] = [await archived(TABLE), await archivedAgain()];
    expect(await engine.work(await queued(await plan(first)))).toMatchObject({ state: 'SUCCEEDED' });
    expect((await found(first.runId)).state).toBe('EXPIRED');
    expect(await database.run('SELECT count(*)::int AS n FROM kept')).toEqual([{ n: second.rows }]);
  });

  it('in a bucket removes its objects', async () => {
    const archive = await archived(S3);
    const store = engine.deps.archiveStores.get('s3');
    expect((await store?.list(archive.runId))?.length).toBeGreaterThan(1);
    expect(await engine.work(await queued(await plan(archive)))).toMatchObject({ state: 'SUCCEEDED' });
    expect(await store?.list(archive.runId)).toEqual([`${archive.runId}/manifest.json`]);
  });

  it('is done by whoever takes over, whatever is gone already', async () => {
    const archive = await archived(FILES);
    const runId = await queued(await plan(archive));
    const dying = new Map(engine.deps.archiveStores);
    const store = dying.get('local');
    if (!store) throw new TypeError('no store');
    const remove = async (location: string) => {
      await store.remove(location);
      throw new Error('killed');
    };
    dying.set('local', { ...store, remove });
    const failed = await engine.work(runId, undefined, { archiveStores: dying });
    expect(failed.state).toBe('FAILED');
    expect((await found(archive.runId)).state).toBe('EXPIRING');
    await control().retry(runId, BY);
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', progress: { rowsDone: 1_500 } });
    expect((await found(archive.runId)).state).toBe('EXPIRED');
  });

  it('ends what can be done with it', async () => {
    const archive = await archived(FILES);
    const restore = await engine.queue({ name: 'item' }, restoreOf(archive));
    await engine.deps.store.prisma.run.update({ where: { id: restore }, data: { state: 'CANCELLED' } });
    await engine.deps.store.prisma.runTable.deleteMany();
    await engine.work(await queued(await plan(archive)));
    await expect(makeArchiveUseCases(engine.deps).verify(archive.id, BY)).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
    });
    expect(codes(await plan(archive))).toEqual(['ARCHIVE_EXPIRED']);
    const planned = await plans().restore(
      { archiveId: archive.id, into: 'SIDE_TABLE', onConflict: 'REFUSE' },
      BY,
    );
    expect(codes(planned)).toContain('ARCHIVE_EXPIRED');
    const late = await engine.work(await engine.queue({ name: 'item' }, restoreOf(archive)));
    expect(late).toMatchObject({ state: 'FAILED', stateCode: 'ARCHIVE_EXPIRED' });
  });
});

describe('an archive that is needed', () => {
  it('by a restore that has not ended is kept, also from a run that was planned before', async () => {
    const archive = await archived(FILES);
    const runId = await queued(await plan(archive));
    await engine.queue({ name: 'item' }, restoreOf(archive));
    expect(codes(await plan(archive))).toEqual(['ARCHIVE_IN_USE']);
    expect(await engine.work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'ARCHIVE_IN_USE' });
    expect((await found(archive.runId)).state).toBe('KEPT');
    expect((await makeArchiveUseCases(engine.deps).verify(archive.id, BY)).ok).toBe(true);
  });

  it('by a hold on its table is kept: by the plan, by its check, and by the batch', async () => {
    const archive = await archived(FILES);
    const [planned, another] = [await plan(archive), await plan(archive)];
    const { id } = await makeProtection(engine.deps).placeHold(
      { database: database.name, schema: 'public', table: 'item', reason: 'case 7' },
      BY,
    );
    expect(codes(await plan(archive))).toEqual(['HOLD']);
    await expect(makeCheckPlanFresh(engine.deps)(planned)).rejects.toThrow(/stale: A hold is on public.item/);
    const run = await engine.work(await queued(another));
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'HOLD', progress: { rowsDone: 0 } });
    expect(run.stateReason).toMatch(/^A hold was placed on/);
    await makeProtection(engine.deps).releaseHold(id, 'closed', BY);
    await control().resume(run.id, BY);
    expect(await engine.work(run.id)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('by a view of its table is kept', async () => {
    const archive = await archived(TABLE);
    const holder = archive.content.holder?.name ?? '';
    await database.run(`CREATE VIEW report AS SELECT id FROM "${holder}"`);
    const planned = await plan(archive);
    expect(codes(planned)).toContain('ARCHIVE_REFERENCED');
  });
});

async function archivedAgain(): Promise<ArchiveView> {
  await database.run(`INSERT INTO item SELECT generate_series(1, 1500)`);
  return archived(TABLE);
}
