import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { obsoleteRows } from '../../../src/analysis/kinds/obsolete-rows.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const rows = (count: number) => `FROM generate_series(1, ${count}) g`;

describe('OBSOLETE_ROWS', () => {
  let database: TestDatabase;
  const tables = async () => (await ask(obsoleteRows, database)).faults.map((fault) => fault.table).sort();

  beforeAll(async () => {
    database = await testDatabase();
    await inTurn(
      database,
      // Young rows; old dates that tell no age; a small table; one without dates.
      `CREATE TABLE recent AS SELECT g id, now() - g * interval '1 minute' AS created_at, md5(g::text) t ${rows(10_000)};
       CREATE TABLE people AS SELECT g id, date '1950-01-01' + g AS birth_date, md5(g::text) t ${rows(10_000)};
       CREATE TABLE small AS SELECT g id, now() - interval '3 years' AS created_at ${rows(500)};
       CREATE TABLE dateless AS SELECT g id, md5(g::text) t ${rows(10_000)}`,
      'VACUUM ANALYZE',
    );
  });

  afterAll(() => database.drop());

  it('is silent where nothing is old, or age is not what a date tells', async () => {
    expect(await ask(obsoleteRows, database)).toEqual({ faults: [], unsure: [] });
  });

  it('finds the long tail, counts what lies beyond each age, and plans an archive', async () => {
    await inTurn(
      database,
      `CREATE TABLE "Event" AS SELECT g id, now() - g * interval '1 hour' AS "occurredAt", md5(g::text) t ${rows(20_000)}`,
      'VACUUM ANALYZE "Event"',
    );
    const { faults } = await ask(obsoleteRows, database);
    expect(faults).toHaveLength(1);
    const [fault] = faults;
    expect(fault).toMatchObject({ kind: 'OBSOLETE_ROWS', table: 'Event', columns: ['occurredAt'] });
    expect(Math.abs(fault!.rows! - (20_000 - 365 * 24))).toBeLessThan(400);
    const older = fault!.evidence['older'] as { days: number; rows: number; bytes: number }[];
    expect(older.map(({ days }) => days)).toEqual([30, 90, 365]);
    for (const { days, rows: count } of older)
      expect(Math.abs(count - (20_000 - days * 24))).toBeLessThan(400);
    expect(fault!.remedy?.variables).toEqual({
      input: {
        database: 'shop',
        schema: 'public',
        table: 'Event',
        where: { column: 'occurredAt', op: 'OLDER_THAN', age: 'P365D' },
        destination: { kind: 'FILES', store: 'local', format: 'COPY_ZSTD' },
        limits: { maxShare: expect.closeTo(0.62, 1) },
      },
    });
    expect(fault!.remedy?.summary).toContain('limits.maxShare allows up to 6');
  });

  it('samples where statistics are missing, and says so', async () => {
    await inTurn(database, `DELETE FROM pg_statistic WHERE starelid = '"Event"'::regclass`);
    const { faults } = await ask(obsoleteRows, database);
    expect(faults[0]!.evidence['method']).toBe('SAMPLE');
    expect(Math.abs(faults[0]!.rows! - (20_000 - 365 * 24))).toBeLessThan(400);
  });

  it('is silent after the old rows are gone, even before ANALYZE', async () => {
    await inTurn(database, `DELETE FROM "Event" WHERE "occurredAt" < now() - interval '365 days'`);
    expect(await tables()).toEqual([]);
  });

  it('prefers the column that says when a row is over, and gives it a month', async () => {
    await inTurn(
      database,
      `CREATE TABLE session AS SELECT g id, now() - interval '2 years' AS created_at, now() - g * interval '10 minutes' AS last_seen_at,
              now() + interval '1 day' - g * interval '10 minutes' AS expires_at, md5(g::text) t ${rows(10_000)}`,
      'VACUUM ANALYZE session',
    );
    const { faults } = await ask(obsoleteRows, database);
    expect(faults.map(({ table, columns }) => [table, ...columns])).toEqual([['session', 'expires_at']]);
    expect(faults[0]!.remedy?.variables).toMatchObject({
      input: { where: { column: 'expires_at', age: 'P30D' } },
    });
  });

  it('only informs about a table to which nothing is added any more', async () => {
    await inTurn(
      database,
      `DROP TABLE session; CREATE TABLE country AS SELECT g id, now() - interval '9 years' AS created_at, md5(g::text) t ${rows(10_000)}`,
      'VACUUM ANALYZE country',
    );
    const { faults } = await ask(obsoleteRows, database);
    expect(faults.map(({ table, severity }) => [table, severity])).toEqual([['country', 'INFO']]);
    expect(faults[0]!.detail).toContain('reference data');
  });

  it('only informs about a table that others reference', async () => {
    await inTurn(
      database,
      `ALTER TABLE country ADD PRIMARY KEY (id); UPDATE country SET created_at = now() WHERE id < 2000;
       CREATE TABLE city (country_id int REFERENCES country (id))`,
      'VACUUM ANALYZE country',
    );
    const { faults } = await ask(obsoleteRows, database);
    expect(faults.map(({ table, severity }) => [table, severity])).toEqual([['country', 'INFO']]);
    expect(faults[0]!.detail).toContain('Other tables reference its rows.');
    expect(faults[0]!.detail).not.toContain('reference data');
  });
});
