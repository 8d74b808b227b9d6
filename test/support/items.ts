import { expect } from '@jest/globals';
import type { ArchiveDestination, PlanSpec } from '../../src/domain/plan.ts';
import type { EngineDeps } from '../../src/engine/execute-run.ts';
import { archiveUpTo, restored, verified } from './archives.ts';
import { testEngine, type TestEngine } from './engine.ts';
import { type Fingerprint, fingerprintOf } from './fingerprint.ts';
import { type TestDatabase, testDatabase } from './postgres.ts';
import { type S3Server, s3Server } from './s3-server.ts';

const ROWS = 9_000;
const LAST = 6_000;

/** A table "item" of 9000 rows, whose archives take those up to id 6000, and a bucket. */
export interface ItemScene {
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  readonly server: S3Server;
  queue(destination: ArchiveDestination, change?: Partial<PlanSpec>): Promise<string>;
  /** A run that has succeeded. */
  archived(destination: ArchiveDestination): Promise<string>;
  /** Every row is in the table or in the archive, once: it is put back and compared with what there was. */
  isWhole(runId: string): Promise<void>;
  close(): Promise<void>;
}

export async function itemScene(
  times?: EngineDeps['times'],
  keys: readonly Buffer[] = [],
): Promise<ItemScene> {
  const database = await testDatabase();
  const server = await s3Server();
  const hexKeys = keys.map((key) => key.toString('hex'));
  const engine = await testEngine(database, times, server.settings, hexKeys);
  const original = await makeItems(database);
  const queue: ItemScene['queue'] = (destination, change) =>
    engine.queue({ name: 'item' }, archiveUpTo(LAST, destination), change);
  return {
    database,
    engine,
    server,
    queue,
    archived: async (destination) => {
      const runId = await queue(destination);
      expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', result: { rowsArchived: LAST } });
      return runId;
    },
    isWhole: async (runId) => {
      expect(await verified(engine, runId)).toMatchObject({ ok: true, rowsChecked: LAST, problems: [] });
      expect(await database.run('SELECT count(*)::int AS rows FROM item')).toEqual([{ rows: ROWS - LAST }]);
      const back = await restored(engine, runId);
      expect(back).toMatchObject({ state: 'SUCCEEDED', result: { rowsRestored: LAST } });
      expect(await fingerprintOf(database, 'SELECT * FROM item')).toEqual(original);
    },
    close: async () => {
      await server.close();
      await engine.close();
      await database.drop();
    },
  };
}

async function makeItems(database: TestDatabase): Promise<Fingerprint> {
  await database.run(`CREATE TABLE item (id int PRIMARY KEY, at timestamptz, price numeric(10,2), note text);
    INSERT INTO item SELECT i, CASE WHEN i % 100 = 0 THEN 'infinity' ELSE timestamptz '2020-01-01' + i * interval '1 minute 1 microsecond' END,
      i * 0.01, 'note ' || i FROM generate_series(1, ${ROWS}) i; ANALYZE item`);
  return fingerprintOf(database, 'SELECT * FROM item');
}
