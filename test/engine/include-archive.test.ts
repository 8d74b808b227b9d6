import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ArchiveDestination, OperationSpec } from '../../src/domain/plan.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import type { RunView } from '../../src/store/runs.ts';
import { FAST, testEngine, type TestEngine } from '../support/engine.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../support/postgres.ts';
import { s3Server } from '../support/s3-server.ts';
import { EVERY_ROW, expectedToGo, makeShop, wronglyTreated } from '../support/shop-with-everything.ts';

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
  return engine.work(await engine.queue({ name: 'customers' }, restore, { throttle: SMALL }));
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
