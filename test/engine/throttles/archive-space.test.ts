import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeFileStore } from '../../../src/archive/file-store.ts';
import type { OperationSpec } from '../../../src/domain/plan.ts';
import { systemClock } from '../../../src/clock.ts';
import { DEFAULT_THROTTLE } from '../../../src/domain/run.ts';
import { HealthWatch } from '../../../src/engine/health-watch.ts';
import { archiveSpace } from '../../../src/engine/throttles/archive-space.ts';
import { FAST, testEngine, type TestEngine } from '../../support/engine.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

const PURGE: OperationSpec = {
  kind: 'PURGE',
  filter: { column: 'id', op: 'GT', value: '0' },
  dependents: 'REFUSE',
  pick: 'HEAP_RANGES',
};
const ARCHIVE: OperationSpec = {
  ...PURGE,
  kind: 'ARCHIVE',
  destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
};
const MORE_THAN_THERE_IS = Number.MAX_SAFE_INTEGER;

let database: TestDatabase;
let engine: TestEngine;

beforeAll(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
  await database.run('CREATE TABLE item (id int); INSERT INTO item SELECT generate_series(1, 500)');
});
afterAll(async () => {
  await engine.close();
  await database.drop();
});

const queue = (operation: OperationSpec, minArchiveFreeBytes: number) =>
  engine.queue({ name: 'item' }, operation, { throttle: { ...FAST, minArchiveFreeBytes } });

describe('the room of the archive', () => {
  it('pauses a run before a row has gone when there is less than must stay free', async () => {
    const run = await engine.work(await queue(ARCHIVE, MORE_THAN_THERE_IS));
    expect(run).toMatchObject({ state: 'PAUSED', stateCode: 'RESOURCE', progress: { rowsDone: 0 } });
    expect(run.stateReason).toMatch(
      /^The folder of the archive has \d+ bytes left; 9007199254740991 must stay/,
    );
    expect(await database.run('SELECT count(*)::int AS n FROM item')).toEqual([{ n: 500 }]);
    await engine.deps.store.prisma.runTable.deleteMany();
  });

  it('is enough for a run that may fill all of it', async () => {
    expect(await engine.work(await queue(ARCHIVE, 0))).toMatchObject({
      state: 'SUCCEEDED',
      result: { rowsArchived: 500 },
    });
  });

  it('concerns no run that keeps nothing there', async () => {
    expect(await engine.work(await queue(PURGE, MORE_THAN_THERE_IS))).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('that cannot be read is an objection, with the reason in the run', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'declutter-gone-'));
    const gone = makeFileStore('local', folder, 'gone');
    await rm(folder, { recursive: true });
    const monitor = await database.session();
    const watch = new HealthWatch(
      [archiveSpace],
      { monitor, tables: [], workers: () => [], archiveFreeBytes: () => gone.freeBytes() },
      systemClock,
      () => DEFAULT_THROTTLE,
    );
    expect(await watch.objection()).toMatch(/^The check archive-space can't be read \(.*ENOENT.*; resting/);
  });
});
