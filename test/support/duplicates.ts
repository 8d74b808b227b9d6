import type { DuplicateKey, OperationSpec } from '../../src/domain/plan.ts';
import type { RunView } from '../../src/store/runs.ts';
import { FILES, restored } from './archives.ts';
import { testEngine, type TestEngine } from './engine.ts';
import type { Version } from './installations.ts';
import { type TestDatabase, testDatabase } from './postgres.ts';
import type { S3Server } from './s3-server.ts';

export type Deduplication = Extract<OperationSpec, { kind: 'DEDUPLICATION' }>;

export const by = (column: string, loose: Partial<DuplicateKey> = {}): DuplicateKey => ({
  column,
  ignoreCase: false,
  trim: false,
  ...loose,
});

/** Of the rows with the same email the one with the lowest id stays. */
const BY_EMAIL: Deduplication = {
  kind: 'DEDUPLICATION',
  key: [by('email')],
  keep: { by: 'id', order: 'LOWEST' },
  references: 'REPOINT',
  filter: null,
  destination: FILES,
};

export const DONE = { state: 'SUCCEEDED', stateReason: null };

export interface DuplicatesScene {
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  deduplicate(
    table: { schema?: string; name: string },
    change?: Partial<Deduplication>,
  ): Promise<{ run: RunView; runId: string }>;
  restore(sourceRunId: string): Promise<RunView>;
  ids(table: string): Promise<unknown[]>;
  close(): Promise<void>;
}

export async function duplicatesScene(
  version: Version,
  bucket: S3Server | null = null,
): Promise<DuplicatesScene> {
  const database = await testDatabase(version);
  const engine = await testEngine(database, undefined, bucket?.settings);
  return {
    database,
    engine,
    deduplicate: async (table, change = {}) => {
      const runId = await engine.queue(table, { ...BY_EMAIL, ...change });
      return { run: await engine.work(runId), runId };
    },
    restore: (sourceRunId) => restored(engine, sourceRunId),
    ids: async (table) => (await database.run(`SELECT id FROM ${table} ORDER BY id`)).map(({ id }) => id),
    close: async () => {
      await engine.close();
      await database.drop();
    },
  };
}
