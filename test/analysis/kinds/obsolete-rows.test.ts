import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { obsoleteRows } from '../../../src/analysis/kinds/obsolete-rows.ts';
import { canonicalFilter, type RowFilterInput } from '../../../src/domain/filter.ts';
import { readRelation } from '../../../src/target/catalog.ts';
import { checkFilterValues, compileFilter } from '../../../src/target/row-filter.ts';
import { ident, sql } from '../../../src/target/sql.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
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

const LONG = 'n'.repeat(60);

describe.each([...new Set([availableVersions()[0] ?? 18, 18 as const])])(
  'OBSOLETE_ROWS of every type on PostgreSQL %i',
  (version) => {
    let database: TestDatabase;
    const found = async (given: Parameters<typeof ask>[2] = {}) =>
      (await ask(obsoleteRows, database, given)).faults;

    beforeAll(async () => {
      database = await testDatabase(version);
      await inTurn(
        database,
        // Numbers that are no times; times to come; values that are no time; dates beyond any timestamp.
        `CREATE TABLE call AS SELECT g id, (g * 7) % 5000 AS response_time, g AS updated_by, md5(g::text) t ${rows(10_000)};
         CREATE TABLE pass AS SELECT g id, now() + g * interval '1 hour' AS expires_at, md5(g::text) t ${rows(10_000)};
         CREATE TABLE lease AS SELECT g id, timestamptz '-infinity' AS expires_at, md5(g::text) t ${rows(10_000)};
         CREATE TABLE ticket AS SELECT g id, 0::bigint AS expires_at, md5(g::text) t ${rows(10_000)};
         CREATE TABLE treaty AS SELECT g id, CASE WHEN g % 2 = 0 THEN date '5874897-12-31' ELSE 'infinity' END AS expires_on, md5(g::text) t ${rows(10_000)}`,
        'VACUUM ANALYZE',
      );
    });

    afterAll(() => database.drop());

    it('is silent about numbers that are no times, times to come, and no times at all', async () => {
      expect(await ask(obsoleteRows, database)).toEqual({ faults: [], unsure: [] });
      await inTurn(database, 'DELETE FROM pg_statistic');
      expect(await ask(obsoleteRows, database)).toEqual({ faults: [], unsure: [] });
      await inTurn(database, 'DROP TABLE call, pass, lease, ticket, treaty');
    });

    it.each([
      ['date', "(now() - g * interval '1 hour')::date", null],
      ['timestamp', "(now() - g * interval '1 hour')::timestamp", null],
      ['timestamptz', "now() - g * interval '1 hour'", null],
      ['int4', 'CASE WHEN g % 100 = 0 THEN 0 ELSE extract(epoch FROM now())::int - g * 3600 END', 'seconds'],
      ['int8', '(extract(epoch FROM now()) * 1000)::int8 - g * 3600000::int8', 'milliseconds'],
      ['int8', '(extract(epoch FROM now()) * 1000000)::int8 - g * 3600000000::int8', 'microseconds'],
    ])('finds the tail of a %s, by statistics, by a sample and by counting', async (type, value, unit) => {
      await inTurn(
        database,
        `CREATE TABLE "${LONG}""x" (id int, "createdAt" ${type}, t text);
         INSERT INTO "${LONG}""x" SELECT g, ${value}, md5(g::text) ${rows(20_000)}`,
        `VACUUM ANALYZE "${LONG}""x"`,
      );
      const truth = (20_000 - 365 * 24) * (type === 'int4' ? 0.99 : 1);
      const methods = [];
      for (const given of [{}, { exact: true }]) {
        const [fault] = await found(given);
        expect(fault!.evidence).toMatchObject({ column: 'createdAt', unit });
        methods.push(fault!.evidence['method']);
        expect(Math.abs(fault!.rows! - truth)).toBeLessThan(given.exact ? 30 : 500);
        const { input } = fault!.remedy!.variables as { input: { where: RowFilterInput } };
        expect(Math.abs((await matching(input.where)) - truth)).toBeLessThan(30);
      }
      await inTurn(database, 'DELETE FROM pg_statistic');
      const [sampled] = await found();
      methods.push(sampled!.evidence['method']);
      expect(Math.abs(sampled!.rows! - truth)).toBeLessThan(500);
      expect(methods).toEqual(['STATISTICS', 'COUNT', 'SAMPLE']);
      await inTurn(database, `DROP TABLE "${LONG}""x"`);
    });

    /** As a plan reads the remedy's filter. */
    async function matching(where: RowFilterInput): Promise<number> {
      const session = await database.session();
      const relation = (await session.transaction(() => readRelation(session, 'public', `${LONG}"x`)))!;
      const { filter } = canonicalFilter(where, new Date());
      await checkFilterValues(session, filter, relation);
      const { count } = await session.transaction(() =>
        session.one<{ count: string }>(
          sql`SELECT count(*) FROM ${ident('public', `${LONG}"x`)} WHERE ${compileFilter(filter, relation)}`,
        ),
      );
      await session.close();
      return Number(count);
    }

    it('adds up partitions, names those that are old as a whole, and plans for the one with the most old rows', async () => {
      const year = new Date().getUTCFullYear();
      const parts = [-3, -2, -1, 0, 1].map(
        (offset) =>
          `CREATE TABLE log_${year + offset} PARTITION OF log FOR VALUES FROM ('${year + offset}-01-01') TO ('${year + offset + 1}-01-01')`,
      );
      await inTurn(
        database,
        `CREATE TABLE log (id int, logged_at timestamptz NOT NULL, t text) PARTITION BY RANGE (logged_at); ${parts.join(';')};
         INSERT INTO log SELECT g, now() - g * interval '40 minutes', md5(g::text) ${rows(30_000)}`,
        'ANALYZE',
      );
      const [fault, ...others] = await found();
      expect(others).toEqual([]);
      const truth = 30_000 - 365 * 36;
      expect(fault).toMatchObject({ table: 'log', columns: ['logged_at'] });
      expect(Math.abs(fault!.rows! - truth)).toBeLessThan(500);
      expect(fault!.evidence['partitions']).toEqual({
        all: 5,
        whollyOlder: expect.arrayContaining([`log_${year - 2}`]),
      });
      expect(fault!.remedy!.variables).toMatchObject({ input: { table: expect.stringMatching(/^log_/) } });
      const [, detach] = /first (ALTER TABLE .*? CONCURRENTLY)\./.exec(fault!.detail)!;
      await inTurn(database, detach!);
      await inTurn(database, 'DROP TABLE log');
      await database.run(`DROP TABLE IF EXISTS log_${year - 3}, log_${year - 2}`);
    });

    it('only informs where the date may mean anything, or other tables point there by name', async () => {
      await inTurn(
        database,
        `CREATE TABLE project AS SELECT g id, now() - g * interval '1 hour' AS kickoff_date, md5(g::text) t ${rows(20_000)};
         CREATE TABLE letter AS SELECT g id, now() - g * interval '1 hour' AS sent_at, md5(g::text) t ${rows(20_000)};
         CREATE TABLE answer (letter_id int)`,
        'VACUUM ANALYZE',
      );
      const faults = await found();
      expect(faults.map(({ table, severity }) => [table, severity]).sort()).toEqual([
        ['letter', 'INFO'],
        ['project', 'INFO'],
      ]);
      expect(faults.find(({ table }) => table === 'letter')!.detail).toContain(
        'by their names reference its rows',
      );
    });

    it('names the GRANT where it may not read', async () => {
      const role = `watcher_${database.name}`;
      await database.run(`CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`);
      const { faults, unsure } = await ask(obsoleteRows, database, { role });
      await database.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
      expect(faults).toEqual([]);
      expect(unsure.find(({ table }) => table === 'letter')!.why).toContain('GRANT SELECT ON public.letter');
    });
  },
);
