import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { riskSeverity, wraparoundRisk } from '../../../src/analysis/kinds/wraparound-risk.ts';
import { FakeStandby } from '../../support/fake-standby.ts';
import { availableVersions, ownServer, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const LONG = `Wide "${'x'.repeat(56)}"`;
const ODD = `"Odd ""Schema"""."${LONG.replaceAll('"', '""')}"`;

const burn = (count: number) =>
  `DO $$ BEGIN FOR i IN 1..${count} LOOP PERFORM pg_catalog.pg_current_xact_id(); COMMIT; END LOOP; END $$`;

/** A row that is locked and then changed by a part of the same transaction has two owners: a multixact. */
const burnMultixacts = (table: string, count: number) =>
  `DO $$ BEGIN FOR i IN 1..${count} LOOP
     PERFORM 1 FROM ${table} WHERE id = 1 FOR KEY SHARE;
     BEGIN UPDATE ${table} SET note = i WHERE id = 1; EXCEPTION WHEN division_by_zero THEN NULL; END;
     COMMIT; END LOOP; END $$`;

const risks = async (database: TestDatabase, given: Parameters<typeof ask>[2] = {}) =>
  (await ask(wraparoundRisk, database, given)).faults;

const names = async (database: TestDatabase) => (await risks(database)).map(({ table }) => table).sort();

/** The catalogs that are read do not differ in between, and ids take time to burn. */
const oldestAndNewest = availableVersions().filter((_, i, all) => i === 0 || i === all.length - 1);

describe.each(oldestAndNewest)('WRAPAROUND_RISK on PostgreSQL %i', (version) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema"""; CREATE TABLE ${ODD} (id int, doc text) WITH (toast.autovacuum_freeze_max_age = 100000);
       INSERT INTO ${ODD} SELECT g, repeat(md5(g::text), 200) FROM generate_series(1, 10) g;
       CREATE TABLE plain AS SELECT 1 id;
       CREATE TABLE early (id int) WITH (autovacuum_freeze_max_age = 100000); INSERT INTO early VALUES (1);
       CREATE TABLE log (id int) PARTITION BY LIST (id);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1) WITH (autovacuum_freeze_max_age = 100000);
       CREATE TABLE shared (id int PRIMARY KEY, note int) WITH (autovacuum_multixact_freeze_max_age = 10000); INSERT INTO shared VALUES (1)`,
      burn(90_000),
    );
  });

  afterAll(() => database.drop());

  it('is silent below the age at which a table is frozen', async () => {
    expect(await ask(wraparoundRisk, database)).toEqual({ faults: [], unsure: [] });
  });

  it('finds tables, TOAST tables and partitions that are older than their own settings say', async () => {
    await database.run(burn(40_000));
    expect(await names(database)).toEqual([LONG, 'early', 'log_1']);
    const faults = new Map((await risks(database)).map((fault) => [fault.table, fault]));
    const early = faults.get('early')!;
    expect(early).toMatchObject({
      severity: 'NOTICE',
      schema: 'public',
      evidence: { ids: 'XID', freezeMaxAge: 100_000 },
    });
    expect(early.evidence['age']).toBeGreaterThan(130_000);
    expect(early.detail).toContain('VACUUM is forced from 100000 on');
    expect(early.detail).toContain('VACUUM (FREEZE) "public"."early";');
    expect(faults.get(LONG)!.detail).toContain('Its TOAST table holds transaction ids');
  });

  it('offers the plan only where its VACUUM would freeze the table', async () => {
    const remedies = async () => (await risks(database)).map(({ remedy }) => remedy?.variables ?? null);
    expect(await remedies()).toEqual([null, null, null]);
    await database.run(
      `ALTER DATABASE ${database.name} SET vacuum_freeze_table_age = 100000; ALTER DATABASE ${database.name} SET vacuum_freeze_min_age = 50000`,
    );
    expect(await remedies()).toContainEqual({
      input: { database: 'shop', schema: 'public', table: 'early', method: 'VACUUM' },
    });
    await inTurn(database, 'VACUUM (ANALYZE) early');
    expect(await names(database)).toEqual([LONG, 'log_1']);
  });

  it('names what keeps VACUUM from freezing, and offers no VACUUM then', async () => {
    const reader = new pg.Client({ connectionString: database.url, application_name: 'report' });
    await reader.connect();
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class');
    await database.run('CREATE TABLE held (id int) WITH (autovacuum_freeze_max_age = 100000)');
    await database.run(burn(110_000));
    const held = (await risks(database)).find(({ table }) => table === 'held');
    await reader.end();
    expect(held!.detail).toMatch(/VACUUM cannot freeze it before this ends: Session \d+ "report"/);
    expect(held!.remedy).toBeNull();
  });

  it('finds multixacts, too', async () => {
    await inTurn(database, 'VACUUM (FREEZE)');
    await database.run(burnMultixacts('shared', 13_000));
    const [fault] = await risks(database);
    expect(fault).toMatchObject({
      table: 'shared',
      severity: 'NOTICE',
      evidence: { ids: 'MULTIXACT', freezeMaxAge: 10_000 },
    });
    expect(fault!.title).toContain('multixact ids');
  }, 120_000);

  it('needs no right on any table', async () => {
    const role = `blind_${database.name}`;
    await database.run(`CREATE ROLE ${role}`);
    const seen = await risks(database, { role });
    await database.run(`DROP ROLE ${role}`);
    expect(seen.map(({ table }) => table)).toEqual(['shared']);
  });

  it('is silent after VACUUM (FREEZE)', async () => {
    await inTurn(database, 'VACUUM (FREEZE)');
    expect(await ask(wraparoundRisk, database)).toEqual({ faults: [], unsure: [] });
  });
});

describe('WRAPAROUND_RISK', () => {
  it.each([
    [210_000_000, null, 'INFO'],
    [260_000_000, null, 'NOTICE'],
    [1_100_000_000, null, 'WARNING'],
    [260_000_000, 29, 'WARNING'],
    [260_000_000, 6, 'CRITICAL'],
    [1_600_000_000, null, 'CRITICAL'],
  ] as const)('at an age of %i with %p days left is %s', (age, days, severity) => {
    const limits = { freezeMaxAge: 200_000_000, failsafeAge: 1_600_000_000 };
    expect(riskSeverity({ kind: 'XID', age, limits }, days)).toBe(severity);
  });

  it('names the database that is the oldest of the server, system catalogs and temporary tables', async () => {
    const server = await ownServer({ autovacuum_freeze_max_age: '100000' });
    const database = await server.database();
    const owner = new pg.Client({ connectionString: database.url });
    await owner.connect();
    await inTurn(database, 'CREATE TABLE orders AS SELECT 1 id', 'VACUUM (FREEZE)');
    await owner.query('CREATE TEMP TABLE basket (id int)');
    // What a standby asks to keep, autovacuum cannot freeze: at this age it comes although it is off.
    const standby = await FakeStandby.start(database.url);
    const [row] = await database.run('SELECT pg_current_xact_id()::text AS xid');
    standby.holdBack(Number(row!['xid']));
    await database.run(burn(130_000));
    const faults = await risks(database);
    const again = await risks(database, {
      memory: {
        findings: async () => {
          const at = new Date(Date.now() - 2 * 86_400_000).toISOString();
          const counts = [{ at, XID: 1, MULTIXACT: 1 }];
          return [
            {
              evidence: { counts },
              schema: null,
              table: null,
              columns: [],
              open: true,
              firstSeenAt: new Date(),
            },
          ];
        },
      },
    });
    await standby.close();
    await owner.end();
    await database.drop();
    await server.stop();
    expect(faults.map(({ table, key }) => key ?? table).sort()).toEqual([
      'SYSTEM',
      'TEMPORARY',
      'database postgres',
      'orders',
    ]);
    const other = faults.find(({ key }) => key === 'database postgres')!;
    expect(other).toMatchObject({ schema: null, table: null, remedy: null, severity: 'NOTICE' });
    expect(other.detail).toContain('this database would stop taking writes with it');
    expect(faults.find(({ key }) => key === 'TEMPORARY')!.detail).toContain(
      'only its own session can vacuum it',
    );
    expect(faults.find(({ table }) => table === 'orders')!.detail).toContain('asks by hot_standby_feedback');
    expect(again[0]!.detail).toMatch(/At \d+ a day, as earlier analyses have seen, \d+ days are left/);
  }, 120_000);
});
