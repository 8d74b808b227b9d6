import { once } from 'node:events';
import { expect } from '@jest/globals';
import pg from 'pg';
import type { OperationSpec } from '../../src/domain/plan.ts';
import type { Principal } from '../../src/domain/principal.ts';
import { makeRunControl } from '../../src/engine/control-run.ts';
import type { RunView } from '../../src/store/runs.ts';
import { testEngine, type TestEngine } from './engine.ts';
import { eventually } from './eventually.ts';
import { loseLease } from './fault-scene.ts';
import { type Fingerprint, fingerprintOf } from './fingerprint.ts';
import { goneForAll } from './gone-for-all.ts';
import { FAST_CLOCK, LONG_LEASE } from './index-scene.ts';
import type { TestDatabase } from './postgres.ts';
import { endOf, spawnTurn } from './spawn-worker.ts';

/** Quoted, as SQL wants it. */
export const TABLE = '"Odd ""schema"""."Item"';
const NAMES = { schema: 'Odd "schema"', name: 'Item' };

const BY: Principal = {
  subject: 'somebody',
  clientId: null,
  roles: ['OPERATOR'],
  isMachine: false,
  mayApprove: false,
};

export type Reorganization = Extract<OperationSpec, { kind: 'REORGANIZATION' }>;

/** A table of which three fifths are gone, with a key, a second index and values in its TOAST table. */
export interface ReorganizationScene {
  readonly database: TestDatabase;
  readonly engine: TestEngine;
  queue(operation: Reorganization): Promise<string>;
  /** One turn after another until the run has ended or waits for somebody. */
  work(runId: string): Promise<RunView>;
  resume(runId: string): Promise<RunView>;
  cancel(runId: string): Promise<void>;
  /** A session that does this in a transaction, and keeps it open until it is let go. */
  holding(sql: string): Promise<{ readonly pid: number; letGo(): Promise<void> }>;
  /** A worker in a process of its own is killed once that is so. */
  killWhen(runId: string, what: string, isSo: () => Promise<boolean>): Promise<void>;
  rows(): Promise<Fingerprint>;
  figures(): Promise<Figures>;
  /** Nothing of pg_repack or a rebuild is left, all indexes are as they were, and no row is another. */
  isIntact(): Promise<void>;
  close(): Promise<void>;
}

export interface Figures {
  readonly heap: number;
  readonly indexes: number;
  readonly oid: number;
  readonly file: string;
}

const ROWS = 20_000;

const MAKE = `
  CREATE SCHEMA "Odd ""schema""";
  CREATE TABLE ${TABLE} (id int PRIMARY KEY, note text, large text) WITH (autovacuum_enabled = false);
  ALTER TABLE ${TABLE} ALTER COLUMN large SET STORAGE EXTERNAL;
  INSERT INTO ${TABLE} SELECT i, 'note ' || i, CASE WHEN i % 201 = 0 THEN repeat(md5(i::text), 200) END FROM generate_series(1, ${ROWS}) AS i;
  CREATE INDEX "Item by ""note""" ON ${TABLE} (note);
  DELETE FROM ${TABLE} WHERE id % 5 > 1`;

export async function reorganizationScene(database: TestDatabase, more = ''): Promise<ReorganizationScene> {
  const engine = await testEngine(database, LONG_LEASE);
  await database.run(MAKE);
  await goneForAll(database);
  if (more !== '') await database.run(more);
  const clients: pg.Client[] = [];
  const rows = () => fingerprintOf(database, `SELECT * FROM ${TABLE}`);
  const [original, indexes] = [await rows(), await indexesOf(database)];
  const control = makeRunControl({ ...engine.deps, queue: { nudge: () => Promise.resolve() } });
  const work = (runId: string) => engine.work(runId, undefined, { clock: FAST_CLOCK });
  return {
    database,
    engine,
    rows,
    work,
    queue: (operation) => engine.queue(NAMES, operation),
    resume: async (runId) => {
      await control.resume(runId, BY);
      return work(runId);
    },
    cancel: async (runId) => void (await control.cancel(runId, null, BY)),
    holding: async (sql) => {
      const client = new pg.Client({ connectionString: database.url, application_name: 'holder' });
      clients.push(client);
      await client.connect();
      const { rows: found } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await client.query(`BEGIN; ${sql}`);
      return { pid: found[0]!.pid, letGo: async () => void (await client.query('ROLLBACK')) };
    },
    killWhen: async (runId, what, isSo) => {
      const turn = await spawnTurn({ database, engine }, runId);
      const ended = once(turn, 'exit');
      await eventually(what, isSo);
      turn.kill('SIGKILL');
      await ended;
      expect(await endOf(turn)).toBe('SIGKILL');
      await loseLease(engine, runId);
    },
    figures: async () => {
      const [row] = await database.run(
        `SELECT pg_relation_size(oid)::int AS heap, pg_indexes_size(oid)::int AS indexes, oid::int, relfilenode::text AS file FROM pg_class WHERE oid = '${TABLE}'::regclass`,
      );
      return row as unknown as Figures;
    },
    isIntact: async () => {
      expect(await leftovers(database)).toEqual([]);
      expect(await indexesOf(database)).toEqual(indexes);
      expect(await rows()).toEqual(original);
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.end()));
      await engine.close();
      await database.drop();
    },
  };
}

const indexesOf = (database: TestDatabase) =>
  database.run(
    `SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition, i.indisvalid AND i.indisready AS valid
       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = '${TABLE}'::regclass ORDER BY 1`,
  );

const leftovers = (database: TestDatabase) =>
  database.run(
    `SELECT tgname AS name FROM pg_trigger WHERE tgrelid = '${TABLE}'::regclass AND NOT tgisinternal
      UNION ALL SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'repack' AND c.relname ~ '^(log|table)_[0-9]'
      UNION ALL SELECT relname FROM pg_class WHERE relname ~ '_cc(new|old)[0-9]*$'`,
  );
