import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type KeptTable, tableKey } from '../../../src/analysis/define-analysis.ts';
import { staleStatistics } from '../../../src/analysis/kinds/stale-statistics.ts';
import { availableVersions, ownServer, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const LONG = `Wide "${'x'.repeat(56)}"`;
const ODD = `"Odd ""Schema"""."${LONG.replaceAll('"', '""')}"`;

const stale = async (database: TestDatabase, given: Parameters<typeof ask>[2] = {}) =>
  (await ask(staleStatistics, database, given)).faults;

const names = async (database: TestDatabase) => (await stale(database)).map(({ table }) => table).sort();

describe.each(availableVersions())('STALE_STATISTICS on PostgreSQL %i', (version) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema"""; CREATE TABLE ${ODD} AS SELECT g id, g % 7 n FROM generate_series(1, 10000) g;
       CREATE TABLE strict WITH (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 500) AS SELECT g id FROM generate_series(1, 10000) g;
       CREATE TABLE lax WITH (autovacuum_analyze_scale_factor = 5) AS SELECT g id FROM generate_series(1, 10000) g;
       CREATE MATERIALIZED VIEW report AS SELECT g id FROM generate_series(1, 5000) g;
       CREATE TABLE log (id int, part int) PARTITION BY LIST (part);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1); CREATE TABLE log_2 PARTITION OF log FOR VALUES IN (2);
       INSERT INTO log SELECT g, 1 + g % 2 FROM generate_series(1, 10000) g;
       CREATE TABLE nothing (id int)`,
      'ANALYZE',
    );
  });

  afterAll(() => database.drop());

  it('is silent about tables that were analysed, and about empty ones', async () => {
    expect(await ask(staleStatistics, database)).toEqual({ faults: [], unsure: [] });
  });

  it("is silent until a table's changes are far beyond its own threshold", async () => {
    await inTurn(
      database,
      `UPDATE ${ODD} SET n = 9 WHERE id <= 2000`,
      'UPDATE strict SET id = id WHERE id <= 999',
      'UPDATE lax SET id = id',
    );
    expect(await names(database)).toEqual([]);
    await inTurn(
      database,
      `UPDATE ${ODD} SET n = 9 WHERE id <= 200`,
      'UPDATE strict SET id = id WHERE id <= 2',
    );
    expect(await names(database)).toEqual([LONG, 'strict']);
  });

  it('says how many rows have changed, who would come, and offers the ANALYZE', async () => {
    const [fault] = await stale(database);
    expect(fault).toMatchObject({
      severity: 'NOTICE',
      schema: 'Odd "Schema"',
      table: LONG,
      columns: [],
      rows: 10_000,
    });
    expect(fault!.title).toContain('2200 rows have changed since the last ANALYZE');
    expect(fault!.detail).toContain(
      'ANALYZE is due from 1050 on. Autovacuum, which would do it, is off for the whole server',
    );
    expect(fault!.remedy?.variables).toEqual({
      input: { database: 'shop', schema: 'Odd "Schema"', table: LONG, method: 'ANALYZE' },
    });
  });

  it('finds a partitioned table that autovacuum would never analyse, though its partitions are', async () => {
    await inTurn(
      database,
      `ANALYZE ${ODD}, strict`,
      'INSERT INTO log SELECT g, 1 FROM generate_series(1, 3000) g',
      'ANALYZE log_1',
    );
    const [fault, ...others] = await stale(database);
    expect(others).toEqual([]);
    expect(fault).toMatchObject({ table: 'log', severity: 'NOTICE', remedy: null });
    expect(fault!.detail).toContain('At least 3000 rows of its partitions have changed');
    expect(fault!.detail).toContain('ANALYZE "public"."log";');
    await inTurn(database, 'ANALYZE log');
    expect(await names(database)).toEqual([]);
    await inTurn(database, 'UPDATE log_2 SET id = id');
    expect(await names(database)).toEqual(['log', 'log_2']);
  });

  it('finds tables that were never analysed, VACUUM or not, and partitioned ones', async () => {
    await inTurn(
      database,
      'ANALYZE',
      `CREATE TABLE fresh AS SELECT g id FROM generate_series(1, 60) g; CREATE TABLE swept AS SELECT g id FROM generate_series(1, 60) g;
       CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
       INSERT INTO parts SELECT generate_series(1, 2000)`,
      'VACUUM swept',
      'ANALYZE parts_1',
    );
    const faults = new Map((await stale(database)).map((fault) => [fault.table, fault]));
    expect([...faults.keys()].sort()).toEqual(['fresh', 'parts', 'swept']);
    expect(faults.get('fresh')).toMatchObject({
      severity: 'INFO',
      title: 'public.fresh was never analysed (60 rows)',
    });
    expect(faults.get('parts')).toMatchObject({ severity: 'NOTICE', remedy: null });
  });

  it('does not take lost counters for a table that was never analysed', async () => {
    await inTurn(database, 'ANALYZE', 'SELECT pg_stat_reset()', 'UPDATE lax SET id = id WHERE id <= 9');
    expect(await names(database)).toEqual([]);
    expect((await ask(staleStatistics, database)).unsure).toContainEqual(
      expect.objectContaining({ table: 'strict', why: expect.stringContaining('counters') }),
    );
    await inTurn(database, 'ANALYZE');
  });

  it('claims nothing about tables whose statistics are hidden, unless they were never analysed for sure', async () => {
    const role = `watch_${database.name}`;
    await inTurn(
      database,
      `CREATE ROLE ${role}; GRANT pg_monitor TO ${role}; DROP TABLE swept, fresh`,
      'CREATE TABLE fresh AS SELECT g id FROM generate_series(1, 60) g; CREATE TABLE swept AS SELECT g id FROM generate_series(1, 60) g',
      'VACUUM swept',
    );
    const { faults, unsure } = await ask(staleStatistics, database, { role });
    await database.run(`DROP ROLE ${role}`);
    expect(faults.map(({ table }) => table)).toEqual(['fresh']);
    expect(unsure).toEqual([
      expect.objectContaining({ table: 'swept', why: expect.stringContaining('GRANT SELECT') }),
    ]);
  });

  it('tells of columns that ANALYZE leaves out, once for a partitioned table', async () => {
    await inTurn(
      database,
      `ALTER TABLE ${ODD} ALTER n SET STATISTICS 0; ALTER TABLE log ALTER id SET STATISTICS 0; ALTER TABLE log_1 ALTER id SET STATISTICS 0`,
      'ANALYZE',
    );
    const faults = await stale(database);
    expect(faults.map(({ table, columns, severity }) => [table, columns, severity])).toEqual([
      [LONG, ['n'], 'INFO'],
      ['log', ['id'], 'INFO'],
    ]);
    const [statement] = /ALTER TABLE .*(?=; then)/.exec(faults[0]!.detail)!;
    await inTurn(
      database,
      `${statement}; ALTER TABLE log ALTER id SET STATISTICS -1; ALTER TABLE log_1 ALTER id SET STATISTICS -1`,
      'ANALYZE',
    );
    expect(await ask(staleStatistics, database)).toEqual({ faults: [], unsure: [] });
  });
});

describe('STALE_STATISTICS where autovacuum is on', () => {
  it('leaves to autovacuum what it has not had the time for', async () => {
    const server = await ownServer({ autovacuum: 'on', autovacuum_naptime: '2000000' });
    const database = await server.database();
    await inTurn(
      database,
      'CREATE TABLE known AS SELECT g id FROM generate_series(1, 5000) g',
      'ANALYZE',
      'UPDATE known SET id = id',
      'CREATE TABLE fresh AS SELECT g id FROM generate_series(1, 5000) g',
    );
    const kept: KeptTable = { liveRows: 5_000, deadRows: 0, totalBytes: 1 };
    const memory = (...tables: string[]) => ({
      memory: { tablesAt: async () => new Map(tables.map((name) => [tableKey('public', name), kept])) },
    });
    const now = new Date(Date.now() + 2 * 3_600_000);
    const answers = {
      first: await stale(database),
      young: await stale(database, memory('known')),
      later: await stale(database, { now, ...memory('known', 'fresh') }),
    };
    await database.drop();
    await server.stop();
    expect(answers.first.map(({ table, severity }) => [table, severity])).toEqual([['fresh', 'INFO']]);
    expect(answers.first[0]!.detail).toContain('No earlier snapshot tells how long');
    expect(answers.young).toEqual([]);
    expect(answers.later.map(({ table }) => table)).toEqual(['fresh', 'known']);
    expect(answers.later[1]!.detail).toContain('Autovacuum is on for it, and has not come.');
  });
});
