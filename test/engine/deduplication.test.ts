import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import type { OperationSpec } from '../../src/domain/plan.ts';
import { requireRun } from '../../src/store/runs.ts';
import { FAST, testEngine, type TestEngine, STEADY } from '../support/engine.ts';
import { runThroughKills } from '../support/kill-workers.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { SHORT_LEASE } from '../support/spawn-worker.ts';

const SPEC: OperationSpec = {
  kind: 'DEDUPLICATION',
  key: [{ column: 'email', ignoreCase: false, trim: false }],
  keep: { by: 'id', order: 'LOWEST' },
  references: 'REPOINT',
  filter: null,
  destination: { kind: 'TABLE', schema: 'public', table: 'person_archive' },
};

const SCHEMA = `
  CREATE TABLE person (id int PRIMARY KEY, email text);
  CREATE TABLE child (id int PRIMARY KEY, person int NOT NULL REFERENCES person ON DELETE CASCADE);
  CREATE INDEX ON child (person);`;

let database: TestDatabase;
let engine: TestEngine;
let other: pg.Client;

beforeEach(async () => {
  database = await testDatabase();
  engine = await testEngine(database, SHORT_LEASE);
  other = new pg.Client({ connectionString: database.url });
  await other.connect();
  await database.run(SCHEMA);
});

afterEach(async () => {
  await other.end();
  await engine.close();
  await database.drop();
});

describe('a deduplication beside others', () => {
  it('sees rows as they come to be: one that is no duplicate any more stays, and a new reference is pointed on', async () => {
    await database.run(
      `INSERT INTO person VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, 'b'), (5, 'c'), (6, 'c')`,
    );
    await other.query(`BEGIN; UPDATE person SET email = 'z' WHERE id = 2; INSERT INTO child VALUES (1, 4)`);
    const runId = await engine.queue({ name: 'person' }, SPEC, { throttle: FAST });
    const done = engine.work(runId);
    await sleep(500);
    await other.query('COMMIT');
    expect(await done).toMatchObject({ state: 'SUCCEEDED', result: { rowsDeleted: 2, rowsRepointed: 1 } });
    expect(await database.run('SELECT id, email FROM person ORDER BY id')).toEqual([
      { id: 1, email: 'a' },
      { id: 2, email: 'z' },
      { id: 3, email: 'b' },
      { id: 5, email: 'c' },
    ]);
    expect(await database.run('SELECT id, person FROM child')).toEqual([{ id: 1, person: 3 }]);
  });

  it('loses no row and no reference though its worker is killed and an application writes all the while', async () => {
    await database.run(`
      INSERT INTO person SELECT i, 'mail' || i % 500 FROM generate_series(1, 2000) i;
      INSERT INTO child SELECT i, i FROM generate_series(1, 2000) i; ANALYZE`);
    const runId = await engine.queue({ name: 'person' }, SPEC, {
      throttle: { ...STEADY, dutyCycle: 0.3, batchRows: 30, batchMs: 5 },
    });
    const application = write();
    await runThroughKills({ database, engine }, runId, { span: 3, afterKill: nobodyIsLost });
    const { people, children } = await application;
    await nobodyIsLost();
    expect(await database.run(EVERYBODY)).toEqual([{ rows: 2000 + people, different: 2000 + people }]);
    expect(await database.run('SELECT count(*)::int AS rows FROM child')).toEqual([
      { rows: 2000 + children },
    ]);
    const again = await engine.queue({ name: 'person' }, SPEC, { throttle: FAST });
    await engine.work(again);
    // Each mail once, and every child with the first who had its mail.
    expect(
      await database.run(
        `SELECT count(*)::int AS rows, count(DISTINCT email)::int AS mails, max(id) AS last FROM person`,
      ),
    ).toEqual([{ rows: 500, mails: 500, last: 500 }]);
    expect(
      await database.run(
        `SELECT count(*)::int AS rows FROM child c WHERE c.id <= 2000 AND c.person <> (c.id - 1) % 500 + 1`,
      ),
    ).toEqual([{ rows: 0 }]);
    expect((await requireRun(engine.deps.store, runId)).result.rowsRepointed).toBeGreaterThanOrEqual(1500);
  }, 300_000);
});

const EVERYBODY = `SELECT count(*)::int AS rows, count(DISTINCT id)::int AS different
  FROM (SELECT id FROM person UNION ALL SELECT id FROM person_archive) AS every`;

/** Whoever was there is live or archived, once; and every child has a person. */
async function nobodyIsLost(): Promise<void> {
  const missing = `SELECT count(*)::int AS rows FROM generate_series(1, 2000) i
    WHERE (SELECT count(*) FROM (SELECT id FROM person UNION ALL SELECT id FROM person_archive) AS every WHERE id = i) <> 1`;
  expect(await database.run(missing)).toEqual([{ rows: 0 }]);
  expect(
    await database.run(
      'SELECT count(*)::int AS rows FROM child c LEFT JOIN person p ON p.id = c.person WHERE p.id IS NULL',
    ),
  ).toEqual([{ rows: 0 }]);
}

/** New people with old mails, and children of whoever is there. */
async function write(): Promise<{ people: number; children: number }> {
  let [people, children] = [0, 0];
  for (let i = 1; i <= 200; i++) {
    const inserted = await other
      .query(
        `INSERT INTO child SELECT ${2000 + i}, id FROM person OFFSET (SELECT count(*) / 2 FROM person) LIMIT 1 ON CONFLICT DO NOTHING`,
      )
      .catch(ignoreGone);
    children += inserted?.rowCount ?? 0;
    if (i % 4 === 0) {
      await other.query(`INSERT INTO person VALUES (${2000 + i}, 'mail${i}')`);
      people += 1;
    }
    await sleep(5);
  }
  return { people, children };
}

/** The person went between the look and the check of the key: the application hears of it. */
function ignoreGone(error: unknown): null {
  if ((error as { code?: string }).code === '23503') return null;
  throw error;
}
