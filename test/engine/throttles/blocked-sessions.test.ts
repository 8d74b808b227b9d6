import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { DEFAULT_THROTTLE } from '../../../src/domain/run.ts';
import { blockedSessions } from '../../../src/engine/throttles/blocked-sessions.ts';
import { BATCH_SETTINGS, type Session } from '../../../src/target/session.ts';
import { sql } from '../../../src/target/sql.ts';
import { eventually } from '../../support/eventually.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

describe('blocked sessions', () => {
  let database: TestDatabase;
  let monitor: Session;
  let worker: Session;
  let other: pg.Client;

  beforeEach(async () => {
    database = await testDatabase();
    await database.run('CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)');
    monitor = await database.session();
    worker = await database.session(BATCH_SETTINGS);
    other = new pg.Client({ connectionString: database.url, application_name: 'other' });
    await other.connect();
  });

  afterEach(async () => {
    await other.end();
    await database.drop();
  });

  const objection = (maxBlockedSessions: number) =>
    blockedSessions.objection({
      monitor,
      workerPids: [worker.backend.pid],
      throttle: { ...DEFAULT_THROTTLE, maxBlockedSessions },
      tables: [],
      now: new Date(),
      archiveFreeBytes: () => Promise.resolve(null),
    });

  async function untilSomebodyWaits(): Promise<void> {
    const waiting = `SELECT 1 FROM pg_stat_activity WHERE application_name = 'other' AND wait_event_type = 'Lock'`;
    await eventually('a session that waits', async () => (await database.run(waiting)).length > 0);
  }

  it('object while somebody waits for a row of ours, unless that many may', async () => {
    expect(await objection(0)).toBeNull();
    let waiting: Promise<unknown> = Promise.resolve();
    await worker.transaction(async () => {
      await worker.execute(sql`DELETE FROM item WHERE id = 1`);
      waiting = other.query('UPDATE item SET id = 2 WHERE id = 1');
      await untilSomebodyWaits();
      expect(await objection(0)).toBe('1 other session(s) wait for a lock of ours; at most 0 may.');
      expect(await objection(1)).toBeNull();
    });
    await waiting;
    expect(await objection(0)).toBeNull();
  });

  it('do not object to a session that waits for somebody else', async () => {
    await database.run('BEGIN; DELETE FROM item WHERE id = 1');
    const waiting = other.query('UPDATE item SET id = 2 WHERE id = 1');
    const looking = 'SELECT FROM pg_catalog.pg_locks WHERE NOT granted';
    await eventually(
      'a lock that is not granted',
      async () => (await monitor.script(looking))[0]?.rowCount !== 0,
    );
    expect(await objection(0)).toBeNull();
    await database.run('ROLLBACK');
    await waiting;
  });
});
