import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeArchiveUseCases } from '../../src/archive/archive-use-cases.ts';
import type { OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { allSegments, type ArchiveView, findArchiveByRun } from '../../src/store/archives.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { runThroughKills } from '../support/kill-workers.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { type S3Server, s3Server } from '../support/s3-server.ts';
import { SHORT_LEASE } from '../support/spawn-worker.ts';

const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};
const ARCHIVE: OperationSpec = {
  kind: 'ARCHIVE',
  filter: { column: 'id', op: 'LE', value: '6000' },
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
  destination: { kind: 'S3', store: 's3', format: 'COPY_ZSTD' },
};

let database: TestDatabase;
let engine: TestEngine;
let server: S3Server;
let original: { rows: number; hash: string };

beforeEach(async () => {
  database = await testDatabase();
  server = await s3Server();
  engine = await testEngine(database, SHORT_LEASE, server.settings);
  await database.run(`CREATE TABLE item (id int PRIMARY KEY, note text);
    INSERT INTO item SELECT i, 'note ' || i FROM generate_series(1, 9000) i; ANALYZE item`);
  original = await fingerprintOf(database, 'SELECT * FROM item');
});
afterEach(async () => {
  await server.close();
  await engine.close();
  await database.drop();
});

const work = (runId: string) => engine.work(runId);
const archiveOf = async (runId: string) => (await findArchiveByRun(engine.deps.store, runId)) as ArchiveView;
const verify = async (runId: string) =>
  makeArchiveUseCases(engine.deps).verify((await archiveOf(runId)).id, BY);

/** Every row is in the table or in the archive, once: it is put back and compared with what there was. */
async function isWhole(runId: string): Promise<void> {
  expect(await verify(runId)).toMatchObject({ ok: true, rowsChecked: 6_000, problems: [] });
  expect(await database.run('SELECT count(*)::int AS rows FROM item')).toEqual([{ rows: 3_000 }]);
  const restoreId = await engine.queue(
    { name: 'item' },
    {
      kind: 'RESTORE',
      archiveId: (await archiveOf(runId)).id,
      sourceRunId: runId,
      where: null,
      into: 'SOURCE',
      onConflict: 'REFUSE',
      schema: 'public',
      table: 'item',
    },
  );
  expect(await work(restoreId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsRestored: 6_000 } });
  expect(await fingerprintOf(database, 'SELECT * FROM item')).toEqual(original);
}

/** Objects of the run that are neither listed nor the manifest. */
async function strays(runId: string): Promise<string[]> {
  const { id } = await archiveOf(runId);
  const listed = (await allSegments(engine.deps.store, id)).map(({ location }) => location);
  return (await server.store.list(runId)).filter(
    (location) => ![...listed, `${runId}/manifest.json`].includes(location),
  );
}

const bytesOf = ({ key, method }: { key: string; method: string }) =>
  key.endsWith('.zst') && method === 'PUT';

describe('an archive in S3', () => {
  it('is an object for each batch, each written under a name that nothing had, and a manifest', async () => {
    const runId = await engine.queue({ name: 'item' }, ARCHIVE);
    expect(await work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 6_000 } });
    const segments = await allSegments(engine.deps.store, (await archiveOf(runId)).id);
    expect(segments.length).toBeGreaterThan(5);
    expect(segments.map(({ sequence }) => sequence)).toEqual(segments.map((_, i) => i + 1));
    const written = server.requests.filter(bytesOf);
    expect(written.length).toBeGreaterThanOrEqual(segments.length);
    expect(written.every(({ isConditional }) => isConditional)).toBe(true);
    const read = server.requests.filter(({ method, key }) => method === 'GET' && key.endsWith('.zst'));
    expect(read.map(({ key }) => key)).toEqual(
      expect.arrayContaining(segments.map(({ location }) => location)),
    );
    expect(await server.store.list(runId)).toContain(`${runId}/manifest.json`);
    await isWhole(runId);
  });

  it.each(['BUSY', 'LOST_REPLY', 'SILENT'] as const)(
    'loses nothing when the store is now and then %s',
    async (fault) => {
      let requests = 0;
      server.fault = (request) => (bytesOf(request) && [3, 6, 9].includes((requests += 1)) ? fault : null);
      const runId = await engine.queue({ name: 'item' }, ARCHIVE);
      expect(await work(runId)).toMatchObject({ state: 'SUCCEEDED' });
      server.fault = () => null;
      expect(await strays(runId)).toEqual([]);
      await isWhole(runId);
    },
  );

  it('rolls back and pauses when the store keeps other bytes than it was given', async () => {
    let requests = 0;
    server.fault = (request) => (bytesOf(request) && (requests += 1) === 3 ? 'OTHER_BYTES' : null);
    const runId = await engine.queue({ name: 'item' }, ARCHIVE);
    expect(await work(runId)).toMatchObject({ state: 'PAUSED', stateCode: 'ARCHIVE_STORE' });
    const [left] = await database.run('SELECT count(*)::int AS rows FROM item');
    const { rows } = await archiveOf(runId);
    expect(rows).toBeGreaterThan(0);
    expect(left?.['rows']).toBe(9_000 - rows);
    expect(await verify(runId)).toMatchObject({ problems: [] });
    expect(await strays(runId)).toEqual([]);
    expect((await server.store.list('orphans')).length).toBe(1);
  });

  it('loses nothing when its worker is killed with -9 three times', async () => {
    const throttle = { ...DEFAULT_THROTTLE, dutyCycle: 0.4, batchRows: 200, batchMs: 2 };
    const runId = await engine.queue({ name: 'item' }, ARCHIVE, { throttle });
    expect(await runThroughKills({ database, engine }, runId, { span: 1_000 })).toBe(3);
    expect(await strays(runId)).toEqual([]);
    await isWhole(runId);
  }, 120_000);

  it('pauses while the store is away, and goes on when it is back', async () => {
    let requests = 0;
    server.fault = (request) => (bytesOf(request) && (requests += 1) > 3 ? 'BUSY' : null);
    const runId = await engine.queue({ name: 'item' }, ARCHIVE);
    expect(await work(runId)).toMatchObject({
      state: 'PAUSED',
      stateCode: 'ARCHIVE_STORE',
      stateReason: expect.stringContaining('SlowDown'),
    });
    server.fault = () => null;
    await engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'QUEUED' } });
    expect(await work(runId)).toMatchObject({ state: 'SUCCEEDED' });
    await isWhole(runId);
  });
});
