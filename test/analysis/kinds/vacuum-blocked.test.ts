import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { vacuumBlocked } from '../../../src/analysis/kinds/vacuum-blocked.ts';
import type { FoundFault } from '../../../src/domain/finding.ts';
import { findingId } from '../../../src/store/findings.ts';
import { FakeStandby } from '../../support/fake-standby.ts';
import { availableVersions, ownServer, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { type Answer, ask, inTurn } from '../support.ts';

const HOUR_MS = 3_600_000;
const inHours = (hours: number) => new Date(Date.now() + hours * HOUR_MS);

/** Takes as many transaction ids. */
const burn = (count: number) =>
  `DO $$ BEGIN FOR i IN 1..${count} LOOP PERFORM pg_catalog.pg_current_xact_id(); COMMIT; END LOOP; END $$`;

/** A session with a snapshot that it keeps. */
async function openReader(database: TestDatabase, name: string) {
  const reader = new pg.Client({ connectionString: database.url, application_name: name });
  await reader.connect();
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class');
  const { rows } = await reader.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return { pid: rows[0]!.pid, close: () => reader.end() };
}

/**
 * Of a server that other tests connect to at the same time: a session that only just begins, which belongs to no database yet
 * (PostgreSQL 18 shows it), is hours old here, where the time is set on.
 */
async function asked(database: TestDatabase, given: Parameters<typeof ask>[2] = {}): Promise<Answer> {
  const { faults, unsure } = await ask(vacuumBlocked, database, given);
  return { faults: faults.filter(({ evidence }) => evidence['state'] !== 'starting'), unsure };
}

const blocked = async (...given: Parameters<typeof asked>) => (await asked(...given)).faults;

describe.each(availableVersions())('VACUUM_BLOCKED on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let reader: Awaited<ReturnType<typeof openReader>>;

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      'CREATE SCHEMA "Odd ""Schema"""; CREATE TABLE "Odd ""Schema"""."Orders" AS SELECT g id FROM generate_series(1, 10000) g',
      'VACUUM ANALYZE',
    );
    reader = await openReader(database, 'report');
  });

  afterAll(() => database.drop());

  it('is silent about a session that holds nothing up, however old it is', async () => {
    expect(await asked(database, { now: inHours(100) })).toEqual({ faults: [], unsure: [] });
  });

  it('is silent about a young one, whatever it holds up', async () => {
    await inTurn(database, 'DELETE FROM "Odd ""Schema"""."Orders" WHERE id <= 4000');
    expect(await blocked(database)).toEqual([]);
  });

  it('finds it once it is old, and says what it costs and what would end it', async () => {
    const faults = await blocked(database, { now: inHours(2) });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({
      severity: 'NOTICE',
      schema: null,
      table: null,
      rows: 4_000,
      remedy: null,
    });
    expect(faults[0]!.title).toBe(
      `Session ${reader.pid} "report" keeps VACUUM from removing rows for 2 hours`,
    );
    expect(faults[0]!.detail).toContain('4000 dead rows wait in this database');
    expect(faults[0]!.detail).toContain(`SELECT pg_catalog.pg_terminate_backend(${reader.pid});`);
    expect(faults[0]!.detail).toContain('has forgotten to commit');
    expect(faults[0]!.evidence).toMatchObject({ code: 'OLD_SNAPSHOT', pid: reader.pid, left: [] });
    expect((await blocked(database, { now: inHours(25) }))[0]!.severity).toBe('WARNING');
  });

  it('finds it sooner when a VACUUM had to leave dead rows because of it', async () => {
    const now = inHours(0.2);
    expect(await blocked(database, { now })).toEqual([]);
    await inTurn(database, 'VACUUM');
    const [fault] = await blocked(database, { now });
    expect(fault!.detail).toContain('had to leave theirs: Odd "Schema".Orders (4000).');
  });

  it('tells two sessions apart, by stable names', async () => {
    const other = await openReader(database, 'declutter/run');
    const faults = await blocked(database, { now: inHours(2) });
    await other.close();
    expect(faults.map((fault) => fault.key)).toEqual([
      `OLD_SNAPSHOT ${reader.pid}`,
      `OLD_SNAPSHOT ${other.pid}`,
    ]);
    expect(new Set(faults.map((fault) => findingId('shop', fault))).size).toBe(2);
    expect(faults[1]!.detail).toContain('cancelRun');
  });

  it('sees the same as pg_monitor; with less it says that ages are hidden, and claims nothing', async () => {
    const role = `watch_${database.name}`;
    await database.run(`CREATE ROLE ${role}; CREATE ROLE blind_${role}; GRANT pg_monitor TO ${role}`);
    const seen = await blocked(database, { role, now: inHours(2) });
    await database.run(burn(10_001));
    const blind = await asked(database, { role: `blind_${role}`, now: inHours(2) });
    await database.run(`DROP ROLE ${role}; DROP ROLE blind_${role}`);
    expect(seen.map((fault) => fault.evidence['pid'])).toEqual([reader.pid]);
    expect(blind.faults).toEqual([]);
    expect(blind.unsure).toEqual([
      {
        schema: null,
        table: null,
        index: null,
        why: `The age of sessions is hidden. GRANT pg_read_all_stats TO "blind_${role}"; shows it.`,
      },
    ]);
  });

  it('does not take a VACUUM for a holder, which is at work itself', async () => {
    const vacuum = new pg.Client({ connectionString: database.url });
    await vacuum.connect();
    // 0.4 s for each page, or it would be over before it is looked at on a busy machine.
    await vacuum.query(
      'SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1; SET vacuum_cost_page_hit = 10000',
    );
    const ended = vacuum
      .query('VACUUM (DISABLE_PAGE_SKIPPING) "Odd ""Schema"""."Orders"')
      .catch(() => undefined);
    const pid = (vacuum as unknown as { processID: number }).processID;
    const isSeen = `SELECT 1 FROM pg_stat_progress_vacuum v JOIN pg_stat_activity a USING (pid) WHERE v.pid = ${pid} AND a.backend_xmin IS NOT NULL`;
    while ((await database.run(isSeen)).length === 0);
    const faults = await blocked(database, { now: inHours(2) });
    await database.run(`SELECT pg_cancel_backend(${pid})`);
    await ended;
    await vacuum.end();
    expect(faults.map((fault) => fault.evidence['pid'])).toEqual([reader.pid]);
  });

  it('is silent after the session has ended', async () => {
    await reader.close();
    const isThere = `SELECT 1 FROM pg_stat_activity WHERE pid = ${reader.pid}`;
    while ((await database.run(isThere)).length > 0);
    expect(await asked(database, { now: inHours(2) })).toEqual({ faults: [], unsure: [] });
  });
});

describe('VACUUM_BLOCKED by what is no session', () => {
  let server: Awaited<ReturnType<typeof ownServer>>;
  let database: TestDatabase;

  const only = async (hours = 0): Promise<FoundFault | undefined> => {
    const faults = await blocked(database, { now: inHours(hours) });
    expect(faults.length).toBeLessThan(2);
    return faults[0];
  };

  const xid = async () => Number((await database.run('SELECT pg_current_xact_id()::text AS xid'))[0]!['xid']);

  beforeAll(async () => {
    server = await ownServer({ max_prepared_transactions: '2', wal_level: 'logical' });
    database = await server.database();
    await inTurn(
      database,
      'CREATE TABLE orders AS SELECT g id FROM generate_series(1, 10000) g',
      'DELETE FROM orders WHERE id <= 4000',
    );
  });

  afterAll(async () => {
    await database.drop();
    await server.stop();
  });

  it('finds a prepared transaction, until it is rolled back', async () => {
    await inTurn(database, `BEGIN; INSERT INTO orders VALUES (0); PREPARE TRANSACTION 'it''s "old"'`);
    expect(await only()).toBeUndefined();
    const fault = await only(2);
    expect(fault!.title).toMatch(
      /^The prepared transaction "it's "old"" keeps VACUUM from removing rows for 2 hours/,
    );
    expect(fault!.detail).toContain(`ROLLBACK PREPARED 'it''s "old"';`);
    await database.run(`ROLLBACK PREPARED 'it''s "old"'`);
    expect(await only(2)).toBeUndefined();
  });

  it('finds a slot that holds the catalogs only, and says so', async () => {
    await database.run(`SELECT pg_create_logical_replication_slot('feed', 'pgoutput')`);
    await inTurn(
      database,
      `DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE 'CREATE TABLE passing (a int, b int); DROP TABLE passing'; COMMIT; END LOOP; END $$`,
      'CREATE TABLE one_more (id int)',
    );
    expect(await only()).toBeUndefined();
    const fault = await only(2);
    expect(fault!.title).toBe(
      'The replication slot "feed" keeps VACUUM from removing rows of the system catalogs for 2 hours',
    );
    expect(fault!.rows).toBeGreaterThan(1_000);
    expect(fault!.detail).toContain('user tables are not held back by it');
    expect(fault!.detail).toContain(`SELECT pg_catalog.pg_drop_replication_slot('feed');`);
    await database.run(`SELECT pg_drop_replication_slot('feed')`);
    expect(await only(2)).toBeUndefined();
  });

  it("finds a standby's slot that nobody reads from any more", async () => {
    await database.run(`SELECT pg_create_physical_replication_slot('copy')`);
    const standby = await FakeStandby.start(database.url, 'copy');
    standby.holdBack(await xid());
    const isHeld = `SELECT 1 FROM pg_replication_slots WHERE xmin IS NOT NULL`;
    while ((await database.run(isHeld)).length === 0);
    expect(await only(2)).toBeUndefined();
    await standby.close();
    const isIdle = `SELECT 1 FROM pg_replication_slots WHERE NOT active`;
    while ((await database.run(isIdle)).length === 0);
    expect((await only(2))!.detail).toContain('"copy" holds back VACUUM');
    expect((await only(2))!.evidence).toMatchObject({ code: 'REPLICATION_SLOT', holds: 'ROWS' });
    await database.run(`SELECT pg_drop_replication_slot('copy')`);
    expect(await only(2)).toBeUndefined();
  });

  it('finds a standby whose feedback is far behind', async () => {
    const standby = await FakeStandby.start(database.url);
    standby.holdBack(await xid());
    const isHeld = `SELECT 1 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL`;
    while ((await database.run(isHeld)).length === 0);
    expect(await only(2)).toBeUndefined();
    await database.run(burn(1_000_001));
    const fault = await only();
    await standby.close();
    expect(fault!.title).toMatch(
      /^The standby "standby" keeps VACUUM from removing rows since 10\d+ transactions$/,
    );
    expect(fault!.detail).toContain('hot_standby_feedback = off');
  }, 60_000);
});
