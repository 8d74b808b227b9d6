import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { OperationSpec } from '../../../src/domain/plan.ts';
import { eventsAfter } from '../../../src/store/run-events.ts';
import { openCompact } from '../../../src/operations/compact-table.ts';
import { FAST, testEngine, type TestEngine } from '../../support/engine.ts';
import { fingerprintOf } from '../../support/fingerprint.ts';
import { goneForAll } from '../../support/gone-for-all.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

const ROWS = 8_000;
const COMPACT: Extract<OperationSpec, { method: 'COMPACT' }> = {
  kind: 'REORGANIZATION',
  method: 'COMPACT',
  column: 'owner',
  indexes: [],
};
/** Batches grow as long as nothing but rows bounds them. */
const UNHURRIED = { ...FAST, batchRows: 20, batchMs: 1_000 };

/** Of the rows that reference owner 0, which each page with rows has. */
const WANTED = [ROWS, 3_990, 3_960, 3_930, 3_900];

let database: TestDatabase;
let engine: TestEngine;

/** From front to end: pages with much room, a large hole, and a few full pages. */
beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database);
  await database.run(`
    CREATE TABLE owner (id int PRIMARY KEY);
    INSERT INTO owner SELECT generate_series(0, 9);
    CREATE TABLE item (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, owner int NOT NULL, note text) WITH (autovacuum_enabled = false);
    INSERT INTO item (id, owner, note) SELECT i, i % 10, repeat('n', 150) FROM generate_series(1, ${ROWS}) AS i;
    DELETE FROM item WHERE id <= ${ROWS / 2} AND id % 3 > 0 OR id > ${ROWS / 2} AND id <= ${ROWS - 100}`);
  await goneForAll(database);
  await database.run('VACUUM ANALYZE item');
});

afterEach(async () => {
  await engine.close();
  await database.drop();
});

const heap = async () => {
  const [row] = await database.run(`SELECT pg_relation_size('item')::int AS bytes`);
  return row!['bytes'] as number;
};

const rows = () => fingerprintOf(database, 'SELECT * FROM item');

describe('a batch of a compaction', () => {
  it('has no more rows than it may, whether blocks were empty before it or one alone has more', async () => {
    const before = await rows();
    const runId = await engine.queue({ name: 'item' }, COMPACT, { throttle: UNHURRIED });
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
    const [most] = await database.run('SELECT max(rows)::int AS rows FROM declutter.batch');
    expect(most!['rows']).toBeLessThanOrEqual(UNHURRIED.batchRows);
    expect(most!['rows']).toBeGreaterThan(0);
    expect(await rows()).toEqual(before);
    const ours = await heap();
    await database.run('VACUUM FULL item');
    expect(ours).toBeLessThanOrEqual(1.25 * (await heap()));
  });

  it.each(['', ' DEFERRABLE INITIALLY DEFERRED'])(
    'never costs the transaction of somebody who has locked what its rows reference%s',
    async (deferrable) => {
      await database.run(`ALTER TABLE item ADD FOREIGN KEY (owner) REFERENCES owner (id)${deferrable}`);
      const before = await rows();
      const holder = new pg.Client({ connectionString: database.url, application_name: 'application' });
      await holder.connect();
      try {
        await holder.query(
          `SET deadlock_timeout = '500ms'; BEGIN; SELECT FROM owner WHERE id = 0 FOR UPDATE`,
        );
        const { rows: found } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
        const runId = await engine.queue({ name: 'item' }, COMPACT);
        const over = new AbortController();
        const turn = engine.work(runId).finally(() => over.abort());
        let wanted = 0;
        for (; !over.signal.aborted; wanted++) {
          await holder.query(
            `SAVEPOINT wanted; SELECT FROM item WHERE id IN (${WANTED.join(',')}) FOR UPDATE; ROLLBACK TO wanted`,
          );
          await rest(5);
        }
        expect(wanted).toBeGreaterThan(0);
        expect(await turn).toMatchObject({
          state: 'PAUSED',
          stateCode: 'LOCKED',
          stateReason: expect.stringContaining(`pid ${found[0]!.pid} (application`),
        });
        await holder.query('ROLLBACK');
        await engine.deps.store.prisma.run.update({ where: { id: runId }, data: { state: 'QUEUED' } });
        expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED' });
        expect(await rows()).toEqual(before);
      } finally {
        await holder.end();
      }
    },
    60_000,
  );

  it('says that a trigger keeps its rows, where one drops updates that change nothing', async () => {
    await database.run(`
      CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW IS NOT DISTINCT FROM OLD THEN RETURN NULL; END IF; RETURN NEW; END';
      CREATE TRIGGER skip BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION skip()`);
    expect(await engine.work(await engine.queue({ name: 'item' }, COMPACT))).toMatchObject({
      state: 'PAUSED',
      stateCode: 'ROWS_KEPT',
      stateReason: expect.stringContaining('trigger'),
    });
  });
});

describe('the end of a table', () => {
  it('is cut off in pieces, none of which keeps others waiting for long', async () => {
    await database.run(`
      CREATE TABLE wide (id int PRIMARY KEY, owner int NOT NULL DEFAULT 0, body text) WITH (autovacuum_enabled = false);
      ALTER TABLE wide ALTER body SET STORAGE PLAIN;
      INSERT INTO wide (id, body) SELECT i, repeat('b', 1900) FROM generate_series(1, 16000) AS i;
      DELETE FROM wide WHERE id % 4 > 0`);
    await goneForAll(database);
    await database.run('VACUUM ANALYZE wide');
    const runId = await engine.queue({ name: 'wide' }, COMPACT);
    expect(await engine.work(runId)).toMatchObject({ state: 'SUCCEEDED', stateCode: null });
    const told = await eventsAfter(engine.deps.store, runId, 0, 1_000);
    const cuts = told.flatMap(({ kind, message }) => {
      const [, now, before] = /has (\d+) [kM]B, and had (\d+) [kM]B/.exec(message) ?? [];
      return kind === 'STATEMENT_DONE' && now !== undefined ? [Number(before) - Number(now)] : [];
    });
    expect(cuts.filter((megabytes) => megabytes > 1).length).toBeGreaterThan(1);
    expect(Math.max(...cuts)).toBeLessThan(18);
    const size = async () =>
      (await database.run(`SELECT pg_relation_size('wide')::int AS bytes`))[0]!['bytes'] as number;
    const ours = await size();
    await database.run('VACUUM FULL wide');
    expect(ours).toBeLessThanOrEqual(1.1 * (await size()));
  });
});

describe('the VACUUM of a compaction', () => {
  it('rests by the throttle that the run has now, whatever the plan had', async () => {
    let throttle = FAST;
    const context = {
      spec: COMPACT,
      relation: { schema: 'public', name: 'item', oid: 1 },
      cursor: null,
      plan: { throttle: FAST },
      throttle: () => throttle,
      session: {
        transaction: (work: () => Promise<unknown>) => work(),
        one: () => Promise.resolve({ blocks: 1 }),
      },
    };
    const work = await openCompact(context as unknown as Parameters<typeof openCompact>[0]);
    const delay = () => work.statements!()[0]!.settings;
    expect(delay()).toEqual(['SET vacuum_cost_delay = 0']);
    throttle = { ...FAST, dutyCycle: 0.2 };
    expect(delay()).toEqual(['SET vacuum_cost_delay = 2']);
  });
});
