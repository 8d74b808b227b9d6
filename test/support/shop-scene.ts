import { expect } from '@jest/globals';
import type { ArchiveDestination, PlanSpec } from '../../src/domain/plan.ts';
import type { RunView } from '../../src/store/runs.ts';
import { type Archive, type Restore, restored } from './archives.ts';
import { FAST, testEngine, type TestEngine } from './engine.ts';
import { type Fingerprint, fingerprintOf } from './fingerprint.ts';
import type { Version } from './installations.ts';
import { type TestDatabase, testDatabase } from './postgres.ts';
import type { S3Server } from './s3-server.ts';
import { EVERY_ROW, makeShop } from './shop-with-everything.ts';

/** Several batches: each is bounded by its rows together with what references them. */
export const SMALL = { ...FAST, batchRows: 400, batchMs: 500 };

/** The shop with everything, whose old customers are archived with what references them. */
export interface ShopScene {
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  /** every row of every table, before anything was done */
  readonly before: Fingerprint;
  queue(destination: ArchiveDestination, change?: Partial<PlanSpec>): Promise<string>;
  /** A run that has succeeded. */
  archived(destination: ArchiveDestination): Promise<string>;
  restored(sourceRunId: string, change?: Partial<Restore>): Promise<RunView>;
  everyRow(): Promise<Fingerprint>;
  countOf(source: string): Promise<unknown>;
  close(): Promise<void>;
}

export const withDependents = (destination: ArchiveDestination): Archive => ({
  kind: 'ARCHIVE',
  filter: { column: 'old', op: 'EQ', value: 'true' },
  dependents: 'INCLUDE',
  pick: 'HEAP_RANGES',
  destination,
});

export async function shopScene(bucket: S3Server | null = null, version?: Version): Promise<ShopScene> {
  const database = await testDatabase(version);
  const engine = await testEngine(database, undefined, bucket?.settings);
  await makeShop(database);
  const everyRow = () => fingerprintOf(database, EVERY_ROW);
  const queue: ShopScene['queue'] = (destination, change = {}) =>
    engine.queue({ name: 'customers' }, withDependents(destination), { throttle: SMALL, ...change });
  return {
    database,
    engine,
    before: await everyRow(),
    queue,
    archived: async (destination) => {
      const runId = await queue(destination);
      expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', stateReason: null });
      return runId;
    },
    restored: (runId, change) => restored(engine, runId, change, { throttle: SMALL }),
    everyRow,
    countOf: async (source) => (await database.run(`SELECT count(*)::int AS n FROM ${source}`))[0]?.['n'],
    close: async () => {
      await engine.close();
      await database.drop();
    },
  };
}
