import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { unusedColumn } from '../../../src/analysis/kinds/unused-column.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const LONG = 'n'.repeat(63);
const DAY_MS = 86_400_000;

describe.each(VERSIONS)('UNUSED_COLUMN on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const role = `column_monitor_${version}`;
  const found = async (given: Parameters<typeof ask>[2] = {}) =>
    (await ask(unusedColumn, database, given)).faults.map(({ table, columns }) => [table, ...columns]);

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema""";
       CREATE TABLE used (id int PRIMARY KEY, state text, rare text, made int GENERATED ALWAYS AS (NULL::int) STORED);
       INSERT INTO used SELECT g, 's' || g % 3, CASE WHEN g = 15000 THEN 'x' END FROM generate_series(1, 20000) g;
       CREATE TABLE small (id int, nothing text); INSERT INTO small SELECT g FROM generate_series(1, 100) g;
       CREATE TABLE log (id int, day int, kind text) PARTITION BY LIST (day);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1); CREATE TABLE log_2 PARTITION OF log FOR VALUES IN (2);
       INSERT INTO log SELECT g, 1 + g % 2, CASE WHEN g % 2 = 1 THEN 'k' || g % 5 END FROM generate_series(1, 30000) g;
       CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`,
      'ANALYZE',
    );
  });

  afterAll(async () => {
    await database.run(`DROP ROLE ${role}`);
    await database.drop();
  });

  it('is silent about columns with values, generated ones, small tables, and partitions of which one has values', async () => {
    expect(await ask(unusedColumn, database)).toEqual({ faults: [], unsure: [] });
  });

  it('finds columns that are NULL in every row, after a look at every row', async () => {
    await inTurn(
      database,
      `CREATE TABLE "Odd ""Schema""".t (id int, "${LONG}" text, gone int, "Viewed" int, found int);
       ALTER TABLE "Odd ""Schema""".t DROP gone;
       INSERT INTO "Odd ""Schema""".t SELECT g FROM generate_series(1, 5000) g;
       CREATE VIEW looks AS SELECT "Viewed" FROM "Odd ""Schema""".t;
       ALTER TABLE log ADD never text`,
      'ANALYZE',
      // A row of which no statistics tell
      `UPDATE "Odd ""Schema""".t SET found = 1 WHERE id = 4999`,
    );
    const { faults, unsure } = await ask(unusedColumn, database);
    expect(unsure).toEqual([]);
    expect(faults.map(({ table, columns, severity }) => [table, ...columns, severity])).toEqual([
      ['t', LONG, 'INFO'],
      ['t', 'Viewed', 'INFO'],
      ['log', 'never', 'INFO'],
    ]);
    expect(faults[0]!.evidence).toMatchObject({
      what: 'ALWAYS_NULL',
      method: 'SCAN',
      rows: 5000,
      usedBy: [],
    });
    expect(faults[1]!.evidence['usedBy']).toEqual([expect.stringContaining('view public.looks')]);
    expect(faults[0]!.detail).toContain(`ALTER TABLE "Odd ""Schema"""."t" DROP COLUMN "${LONG}"`);
  });

  it('looks without being seen: it counts as no scan', async () => {
    const scans = async () =>
      (await database.run(`SELECT pg_stat_get_numscans('"Odd ""Schema""".t'::regclass)::int AS scans`))[0];
    const before = await scans();
    await found();
    expect(await scans()).toEqual(before);
    expect(Number(before!['scans'])).toBeGreaterThan(0);
  });

  it('is louder after a month, for a column that nothing uses', async () => {
    const { faults } = await ask(unusedColumn, database);
    const kept = faults.map((fault) => ({ ...fault, open: true, firstSeenAt: new Date() }));
    const later = await ask(unusedColumn, database, {
      now: new Date(Date.now() + 31 * DAY_MS),
      memory: { findings: async () => kept },
    });
    expect(later.faults.map(({ severity }) => severity)).toEqual(['NOTICE', 'INFO', 'NOTICE']);
    expect(later.faults[0]!.detail).toContain('31 days at least');
  });

  it('reads a large table when exact figures are asked for, and says when it has not', async () => {
    await inTurn(
      database,
      `CREATE TABLE large (id int, empty int, filler char(1000)); INSERT INTO large SELECT g, NULL, 'x' FROM generate_series(1, 70000) g`,
      'ANALYZE large',
      'UPDATE large SET empty = 1 WHERE id = 69999',
    );
    const [guess] = (await ask(unusedColumn, database)).faults.filter(
      ({ columns }) => columns[0] === 'empty',
    );
    expect(guess).toMatchObject({ severity: 'INFO', evidence: { method: 'STATISTICS' } });
    expect(guess!.detail).toContain('with exact only');
    const exact = (await ask(unusedColumn, database, { exact: true })).faults;
    expect(exact.map(({ columns }) => columns[0])).not.toContain('empty');
    expect(exact.map(({ columns }) => columns[0])).toContain('never');
    await inTurn(database, 'DROP TABLE large');
  });

  it('informs of columns with one value only, but for keys', async () => {
    await inTurn(
      database,
      `CREATE TABLE tenants (id int PRIMARY KEY); INSERT INTO tenants VALUES (1);
       CREATE TABLE same (id int, tenant_id int REFERENCES tenants, version int DEFAULT 1); INSERT INTO same SELECT g, 1 FROM generate_series(1, 12000) g`,
      'ANALYZE',
    );
    const { faults } = await ask(unusedColumn, database);
    const own = faults.filter(({ table }) => table === 'same');
    expect(own.map(({ columns, severity, evidence }) => [...columns, severity, evidence['what']])).toEqual([
      ['version', 'INFO', 'ONE_VALUE'],
    ]);
  });

  it('is in doubt without statistics, or the right to see them, or while the table is locked', async () => {
    const blind = await ask(unusedColumn, database, { role });
    expect(blind.faults).toEqual([]);
    expect(blind.unsure.map(({ table }) => table).sort()).toEqual(['log', 'same', 't', 'used']);
    const locker = new pg.Client({ connectionString: database.url });
    await locker.connect();
    await locker.query('BEGIN; LOCK TABLE log_2 IN ACCESS EXCLUSIVE MODE');
    const locked = await ask(unusedColumn, database);
    await locker.query('ROLLBACK');
    await locker.end();
    expect(locked.unsure.map(({ table }) => table)).toEqual(['log']);
    expect(locked.faults.map(({ table }) => table)).toEqual(expect.arrayContaining(['t', 'same']));
  });

  it('is silent after they are dropped, or hold a value', async () => {
    await inTurn(
      database,
      `ALTER TABLE "Odd ""Schema""".t DROP COLUMN "${LONG}"; UPDATE "Odd ""Schema""".t SET "Viewed" = 1 WHERE id = 1;
       INSERT INTO log (day, never) VALUES (2, 'x'); UPDATE same SET version = 2 WHERE id < 100`,
      'ANALYZE',
    );
    expect(await ask(unusedColumn, database)).toEqual({ faults: [], unsure: [] });
  });
});
