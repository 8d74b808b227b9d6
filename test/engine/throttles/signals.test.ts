import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { DEFAULT_THROTTLE, type Throttle } from '../../../src/domain/run.ts';
import type { HealthCheck, Objection } from '../../../src/engine/define-throttle.ts';
import { activeSessions } from '../../../src/engine/throttles/active-sessions.ts';
import { criticalLoad } from '../../../src/engine/throttles/critical-load.ts';
import { oldSnapshots } from '../../../src/engine/throttles/old-snapshots.ts';
import { retainedWal } from '../../../src/engine/throttles/retained-wal.ts';
import { tableMaintenance } from '../../../src/engine/throttles/table-maintenance.ts';
import { timeWindow } from '../../../src/engine/throttles/time-window.ts';
import { walArchiving } from '../../../src/engine/throttles/wal-archiving.ts';
import { READ_SETTINGS, Session } from '../../../src/target/session.ts';
import { eventually } from '../../support/eventually.ts';
import { ownServer, type OwnServer, type TestDatabase } from '../../support/postgres.ts';

let server: OwnServer;
let database: TestDatabase;
let monitor: Session;
const others: pg.Client[] = [];

beforeAll(async () => {
  server = await ownServer({
    archive_mode: 'on',
    archive_command: 'false',
    wal_level: 'logical',
    max_prepared_transactions: '0',
  });
  database = await server.database();
  await database.run(`CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1);
    CREATE ROLE plain_${database.name} LOGIN PASSWORD 'plain'`);
  monitor = await database.session();
});
afterEach(async () => {
  await Promise.all(others.splice(0).map((client) => client.end()));
});
afterAll(async () => {
  await monitor.close();
  await database.drop();
  await server.stop();
});

async function ask(
  check: HealthCheck,
  change: Partial<Throttle> = {},
  given: { session?: Session; now?: Date } = {},
): Promise<Objection | null> {
  const [item] = await database.run(`SELECT 'item'::regclass::oid::int AS oid`);
  return check.objection({
    monitor: given.session ?? monitor,
    workerPids: [],
    throttle: { ...DEFAULT_THROTTLE, ...change },
    tables: [Number(item?.['oid'])],
    now: given.now ?? new Date(),
    archiveFreeBytes: () => Promise.resolve(null),
  });
}

/** Another application's session. */
async function other(...statements: string[]): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, application_name: 'report' });
  client.on('error', () => undefined);
  await client.connect();
  others.push(client);
  for (const statement of statements) await client.query(statement);
  return client;
}

const plainSession = () =>
  Session.open(
    { ...database.address, user: `plain_${database.name}`, password: () => Promise.resolve('plain') },
    { ...READ_SETTINGS, applicationName: 'declutter/test' },
  );

describe('WAL that is not archived', () => {
  it('objects when more segments wait than may, and to what it may not see', async () => {
    await database.run('SELECT pg_switch_wal(); CHECKPOINT');
    await database.run('CREATE TABLE filler AS SELECT 1 AS n; SELECT pg_switch_wal()');
    expect(await ask(walArchiving, { maxUnarchivedSegments: 0 })).toMatch(
      /^\d+ WAL segments wait to be archived; at most 0/,
    );
    expect(await ask(walArchiving)).toBeNull();
    const plain = await plainSession();
    expect(await ask(walArchiving, {}, { session: plain })).toMatch(/GRANT pg_monitor/);
    await plain.close();
  });
});

describe('a replication slot', () => {
  it('that nobody reads is named once it keeps more than it may', async () => {
    expect(await ask(retainedWal, { maxRetainedWalBytes: 0 })).toBeNull();
    await database.run(`SELECT pg_create_physical_replication_slot('forgotten', true)`);
    await database.run('CREATE TABLE written AS SELECT generate_series(1, 1000) AS n');
    expect(await ask(retainedWal, { maxRetainedWalBytes: 1_000 })).toMatch(
      /^The replication slot "forgotten" is read by nobody and keeps \d+ bytes of WAL; at most 1000/,
    );
    expect(await ask(retainedWal)).toBeNull();
    await database.run(`SELECT pg_drop_replication_slot('forgotten')`);
  });
});

describe('maintenance of the table', () => {
  it('by another session is waited for, unless told otherwise', async () => {
    expect(await ask(tableMaintenance)).toBeNull();
    const vacuum = await other('BEGIN', 'LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE');
    expect(await ask(tableMaintenance)).toMatch(/^Session \d+ maintains the table \(LOCK TABLE item/);
    expect(await ask(tableMaintenance, { restForMaintenance: false })).toBeNull();
    await vacuum.query('ROLLBACK');
    expect(await ask(tableMaintenance)).toBeNull();
  });
});

describe('an old snapshot', () => {
  it('objects only when an age is given, and names the session', async () => {
    await other('BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1 FROM item', 'SELECT pg_sleep(1.1)');
    expect(await ask(oldSnapshots)).toBeNull();
    expect(await ask(oldSnapshots, { maxSnapshotAgeMs: 1_000 })).toMatch(
      /^Session \d+ \(report\) holds a snapshot for 1 s/,
    );
    expect(await ask(oldSnapshots, { maxSnapshotAgeMs: 60_000 })).toBeNull();
  });
});

describe('active sessions', () => {
  it('make it rest above the one bound and pause from the other on', async () => {
    const busy = await other();
    const sleeping = busy.query('SELECT pg_sleep(60)').catch(() => undefined); // ended below
    await eventually(
      'an active session',
      async () => (await ask(activeSessions, { maxActiveSessions: 0 })) !== null,
    );
    expect(await ask(activeSessions, { maxActiveSessions: 0 })).toBe(
      '1 other sessions are active; at most 0 may be.',
    );
    expect(await ask(activeSessions, { maxActiveSessions: 1 })).toBeNull();
    expect(await ask(activeSessions)).toBeNull();
    expect(await ask(criticalLoad, { criticalActiveSessions: 2 })).toBeNull();
    expect(await ask(criticalLoad, { criticalActiveSessions: 1 })).toMatchObject({
      pause: expect.stringContaining('from 1 on the run pauses'),
    });
    const plain = await plainSession();
    expect(await ask(activeSessions, { maxActiveSessions: 5 }, { session: plain })).toMatch(
      /GRANT pg_monitor/,
    );
    await plain.close();
    await database.run(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'report'`,
    );
    await sleeping;
  });
});

describe('a time window', () => {
  const window = { from: '22:00', to: '06:00', timeZone: 'Europe/Berlin' };
  it.each([
    ['2026-01-10T20:59:00Z', false],
    ['2026-01-10T21:00:00Z', true],
    ['2026-01-11T04:59:00Z', true],
    ['2026-01-11T05:00:00Z', false],
    ['2026-07-11T03:59:00Z', true], // summer time
    ['2026-07-11T04:00:00Z', false],
  ])('past midnight at %s: %s', async (now, isOpen) => {
    expect((await ask(timeWindow, { window }, { now: new Date(now) })) === null).toBe(isOpen);
  });

  it('within a day, or none at all', async () => {
    const noon = { now: new Date('2026-01-10T12:00:00Z') };
    expect(await ask(timeWindow, { window: { from: '09:00', to: '12:00', timeZone: 'UTC' } }, noon)).toBe(
      'It works from 09:00 to 12:00 (UTC) only.',
    );
    expect(
      await ask(timeWindow, { window: { from: '12:00', to: '12:01', timeZone: 'UTC' } }, noon),
    ).toBeNull();
    expect(await ask(timeWindow, {}, noon)).toBeNull();
  });
});
