import { open, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeArchiveUseCases } from '../../src/archive/archive-use-cases.ts';
import { makeArchiveKeys } from '../../src/archive/archive-keys.ts';
import type { ArchiveDestination, OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { allSegments, type ArchiveView, findArchiveByRun } from '../../src/store/archives.ts';
import { testEngine, type TestEngine } from '../support/engine.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { loseLease } from '../support/fault-scene.ts';
import { DEFAULT_THROTTLE } from '../../src/domain/run.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { type S3Server, s3Server } from '../support/s3-server.ts';
import { endOf, SHORT_LEASE, spawnTurn } from '../support/spawn-worker.ts';

const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};
/** One lane, and some dozen batches. */
const SMALL = { ...DEFAULT_THROTTLE, dutyCycle: 0.8, batchRows: 300 };
const KEY = Buffer.alloc(32, 3);
const OTHER_KEY = Buffer.alloc(32, 4);

let database: TestDatabase;
let server: S3Server;
let engine: TestEngine;
let original: { rows: number; hash: string };

beforeEach(async () => {
  database = await testDatabase();
  server = await s3Server();
  engine = await testEngine(database, SHORT_LEASE, server.settings, [KEY.toString('hex')]);
  await database.run(`CREATE TABLE item (id int PRIMARY KEY, at timestamptz, price numeric(10,2), note text);
    INSERT INTO item SELECT i, CASE WHEN i % 100 = 0 THEN 'infinity' ELSE timestamptz '2020-01-01' + i * interval '1 minute 1 microsecond' END,
      i * 0.01, 'note ' || i FROM generate_series(1, 9000) i; ANALYZE item`);
  original = await fingerprintOf(database, 'SELECT * FROM item');
});
afterEach(async () => {
  await server.close();
  await engine.close();
  await database.drop();
});

const archiving = (destination: ArchiveDestination): OperationSpec => ({
  kind: 'ARCHIVE',
  filter: { column: 'id', op: 'LE', value: '6000' },
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
  destination,
});

const archiveOf = async (runId: string) => (await findArchiveByRun(engine.deps.store, runId)) as ArchiveView;
const verify = async (runId: string, keys: readonly Buffer[] = [KEY]) =>
  makeArchiveUseCases({ ...engine.deps, archiveKeys: makeArchiveKeys(keys) }).verify(
    (await archiveOf(runId)).id,
    BY,
  );

async function restored(runId: string, keys: readonly Buffer[] = [KEY]) {
  const spec: OperationSpec = {
    kind: 'RESTORE',
    archiveId: (await archiveOf(runId)).id,
    sourceRunId: runId,
    where: null,
    into: 'SOURCE',
    onConflict: 'REFUSE',
    schema: 'public',
    table: 'item',
  };
  const restoreId = await engine.queue({ name: 'item' }, spec);
  return engine.work(restoreId, undefined, { archiveKeys: makeArchiveKeys(keys) });
}

/** Every row is in the table or in the archive, once: it is put back and compared with what there was. */
async function isWhole(runId: string): Promise<void> {
  expect(await verify(runId)).toMatchObject({ ok: true, rowsChecked: 6_000, problems: [] });
  expect(await database.run('SELECT count(*)::int AS rows FROM item')).toEqual([{ rows: 3_000 }]);
  expect(await restored(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsRestored: 6_000 } });
  expect(await fingerprintOf(database, 'SELECT * FROM item')).toEqual(original);
}

const firstSegment = async (runId: string) => {
  const [segment] = await allSegments(engine.deps.store, (await archiveOf(runId)).id);
  if (!segment) throw new Error('There is no segment');
  return segment;
};

async function flipByte(location: string): Promise<void> {
  const file = await open(path.join(engine.archiveDir, location), 'r+');
  const { size } = await file.stat();
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, size >> 1);
  await file.write(Buffer.of((byte[0] as number) ^ 1), 0, 1, size >> 1);
  await file.close();
}

describe.each(['COPY_ZSTD', 'JSONL_ZSTD', 'PARQUET'] as const)('an archive in %s, encrypted', (format) => {
  const FILES: ArchiveDestination = { kind: 'FILES', store: 'local', format };

  it('names the segment that has another byte than it was given, and restores nothing of it', async () => {
    const runId = await engine.queue({ name: 'item' }, archiving(FILES));
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 6_000 } });
    const { location } = await firstSegment(runId);
    expect((await readFile(path.join(engine.archiveDir, location))).includes('note 17')).toBe(false);
    await flipByte(location);
    expect(await verify(runId)).toMatchObject({
      ok: false,
      problems: [{ code: 'SEGMENT_DAMAGED', message: expect.stringContaining(location) }],
    });
    expect(await restored(runId)).toMatchObject({
      state: 'FAILED',
      stateCode: 'ARCHIVE_DAMAGED',
      stateReason: expect.stringContaining(location),
    });
    await flipByte(location);
    await isWhole(runId);
  });

  it('can be read with its own key only, which may have become an older one', async () => {
    const runId = await engine.queue({ name: 'item' }, archiving({ kind: 'S3', store: 's3', format }));
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: 6_000 } });
    const keyId = (await archiveOf(runId)).content.encryption?.keyId ?? '';
    for (const keys of [[], [OTHER_KEY]]) {
      expect(await verify(runId, keys)).toMatchObject({
        ok: false,
        problems: [{ code: 'KEY_MISSING', message: expect.stringContaining(keyId) }],
      });
      expect(await restored(runId, keys)).toMatchObject({
        state: 'PAUSED',
        stateCode: 'ARCHIVE_KEY',
        stateReason: expect.stringContaining(keyId),
      });
      await engine.deps.store.prisma.run.updateMany({
        where: { state: 'PAUSED' },
        data: { state: 'CANCELLED' },
      });
      await engine.deps.store.prisma.runTable.deleteMany();
    }
    expect(await verify(runId, [OTHER_KEY, KEY])).toMatchObject({ ok: true, rowsChecked: 6_000 });
    await isWhole(runId);
  });
});

describe.each(['JSONL_ZSTD', 'PARQUET'] as const)('a run that archives in %s, encrypted', (format) => {
  const FILES: ArchiveDestination = { kind: 'FILES', store: 'local', format };

  it('goes on with the key that it began with, when another has come before it', async () => {
    const runId = await engine.queue({ name: 'item' }, archiving(FILES), { throttle: SMALL });
    await endOf(await spawnTurn({ database, engine }, runId, { failpoints: 'batch.committed=kill@2' }));
    await loseLease(engine, runId);
    const keys = makeArchiveKeys([OTHER_KEY, KEY]);
    expect(await engine.work(runId, undefined, { archiveKeys: keys })).toMatchObject({ state: 'SUCCEEDED' });
    await isWhole(runId);
  }, 120_000);

  it.each(['segment.written=kill@3', 'segment.synced=kill@3', 'segment.renamed=kill'])(
    'loses nothing when its worker is killed with -9 at %s',
    async (failpoints) => {
      const runId = await engine.queue({ name: 'item' }, archiving(FILES), { throttle: SMALL });
      expect(await endOf(await spawnTurn({ database, engine }, runId, { failpoints }))).toBe('SIGKILL');
      await loseLease(engine, runId);
      expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
      const listed = await allSegments(engine.deps.store, (await archiveOf(runId)).id);
      const names = await readdir(path.join(engine.archiveDir, runId));
      expect(names.sort()).toEqual(
        [...listed.map(({ location }) => path.basename(location)), 'manifest.json'].sort(),
      );
      await isWhole(runId);
    },
    120_000,
  );
});
