import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { OperationSpec } from '../../src/domain/plan.ts';
import { findArchiveByRun } from '../../src/store/archives.ts';
import { FAST, testEngine, type TestEngine, STEADY } from '../support/engine.ts';
import { fingerprintOf } from '../support/fingerprint.ts';
import { runThroughKills } from '../support/kill-workers.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import {
  EVERY_ROW,
  expectedToGo,
  makeShop,
  partedCustomers,
  wronglyTreated,
} from '../support/shop-with-everything.ts';
import { SHORT_LEASE } from '../support/spawn-worker.ts';

let database: TestDatabase;
let engine: TestEngine;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database, SHORT_LEASE);
  await makeShop(database);
});

afterEach(async () => {
  await engine.close();
  await database.drop();
});

it('archives rows with what references them through three kills with -9, and loses nothing', async () => {
  const before = await fingerprintOf(database, EVERY_ROW);
  const archive: OperationSpec = {
    kind: 'ARCHIVE',
    filter: { column: 'old', op: 'EQ', value: 'true' },
    dependents: 'INCLUDE',
    pick: 'HEAP_RANGES',
    destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
  };
  const throttle = { ...STEADY, dutyCycle: 0.3, batchRows: 20, batchMs: 2 };
  const runId = await engine.queue({ name: 'customers' }, archive, { throttle });
  const parted: number[] = [];
  await runThroughKills({ database, engine }, runId, {
    span: 4,
    afterKill: async () => void parted.push(await partedCustomers(database)),
  });
  expect(parted).toEqual([0, 0, 0]);
  expect(await wronglyTreated(database)).toBe(0);
  const { id = '', rows } = (await findArchiveByRun(engine.deps.store, runId)) ?? {};
  expect(rows).toBe(await expectedToGo(database));
  const restore: OperationSpec = {
    kind: 'RESTORE',
    archiveId: id,
    sourceRunId: runId,
    where: null,
    into: 'SOURCE',
    onConflict: 'REFUSE',
    schema: 'public',
    table: 'customers',
  };
  const back = await engine.work(await engine.queue({ name: 'customers' }, restore, { throttle: FAST }));
  expect(back).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
  expect(await fingerprintOf(database, EVERY_ROW)).toEqual(before);
}, 180_000);
