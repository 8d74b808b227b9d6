import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { type KeptTable, tableKey } from '../../../src/analysis/define-analysis.ts';
import { emptyTable } from '../../../src/analysis/kinds/empty-table.ts';
import { availableVersions, type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, inTurn } from '../support.ts';

const VERSIONS = availableVersions().filter((version) => version === 14 || version === 18);
const LONG = 'e'.repeat(63);

describe.each(VERSIONS)('EMPTY_TABLE on PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const role = `empty_monitor_${version}`;
  const found = async (given: Parameters<typeof ask>[2] = {}) =>
    (await ask(emptyTable, database, given)).faults.map(({ table }) => table);

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema"""; CREATE SCHEMA declutter; CREATE TABLE declutter.run (id int);
       CREATE TABLE one AS SELECT 1 id; CREATE TABLE queue (id int);
       CREATE TABLE log (day date) PARTITION BY RANGE (day);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
       CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
       INSERT INTO log VALUES ('2024-05-05');
       CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far; CREATE TABLE sharded (id int) PARTITION BY RANGE (id);
       CREATE FOREIGN TABLE shard PARTITION OF sharded FOR VALUES FROM (0) TO (9) SERVER away;
       CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (1);
       CREATE ROLE ${role}; GRANT pg_monitor TO ${role}`,
      'INSERT INTO queue VALUES (1), (2)',
      'DELETE FROM queue',
    );
  });

  afterAll(async () => {
    await database.run(`DROP ROLE ${role}`);
    await database.drop();
  });

  it('is silent about rows, queues, partitions for later or on other servers, and parents by inheritance', async () => {
    expect(await ask(emptyTable, database)).toEqual({ faults: [], unsure: [] });
    await inTurn(database, 'VACUUM');
    expect(await ask(emptyTable, database)).toEqual({ faults: [], unsure: [] });
  });

  it('finds tables without a page, and those whose pages hold no row', async () => {
    await inTurn(
      database,
      `CREATE TABLE "Odd ""Schema"""."${LONG}" (id int PRIMARY KEY); CREATE UNLOGGED TABLE unlogged_none (id int);
       CREATE TABLE bare (day date) PARTITION BY RANGE (day);
       CREATE TABLE bare_1 PARTITION OF bare FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
       CREATE TABLE undone (id int); DROP TABLE queue`,
      'BEGIN; INSERT INTO undone SELECT generate_series(1, 5000); ROLLBACK',
      'SELECT pg_stat_reset()',
    );
    const { faults, unsure } = await ask(emptyTable, database);
    expect(unsure).toEqual([]);
    expect(faults.map(({ table, severity }) => [table, severity]).sort()).toEqual([
      ['bare', 'INFO'],
      [LONG, 'INFO'],
      ['undone', 'INFO'],
      ['unlogged_none', 'INFO'],
    ]);
    const undone = faults.find(({ table }) => table === 'undone')!;
    expect(undone.wastedBytes).toBeGreaterThan(100_000);
    expect(faults.find(({ table }) => table === 'bare')!.detail).toContain('partitions for times to come');
    expect(faults.find(({ table }) => table === LONG)!.detail).toContain(
      `DROP TABLE "Odd ""Schema"""."${LONG}"`,
    );
  });

  it('looks without being seen: it counts as no scan', async () => {
    const [row] = await database.run(
      `SELECT pg_stat_get_numscans('undone'::regclass)::int AS scans, pg_stat_get_numscans('one'::regclass)::int AS others`,
    );
    expect(row).toEqual({ scans: 0, others: 0 });
  });

  it('does not trust counters that were reset, and sees a row that they do not', async () => {
    await inTurn(database, 'INSERT INTO undone VALUES (1)', 'SELECT pg_stat_reset()');
    expect(await found()).not.toContain('undone');
    expect(await found()).not.toContain('one');
    await inTurn(database, 'DELETE FROM undone', 'SELECT pg_stat_reset()');
    expect(await found()).toContain('undone');
  });

  it('is in doubt about pages that it may not read, or that are locked', async () => {
    const { faults, unsure } = await ask(emptyTable, database, { role });
    expect(faults.map(({ table }) => table)).toContain(LONG);
    expect(faults.map(({ table }) => table)).not.toContain('undone');
    expect(unsure).toContainEqual(
      expect.objectContaining({ table: 'undone', why: 'The role may not read it.' }),
    );
    const locker = new pg.Client({ connectionString: database.url });
    await locker.connect();
    await locker.query('BEGIN; LOCK TABLE undone IN ACCESS EXCLUSIVE MODE');
    const locked = await ask(emptyTable, database);
    await locker.query('ROLLBACK');
    await locker.end();
    expect(locked.unsure.map(({ table }) => table)).toContain('undone');
    expect(locked.faults.map(({ table }) => table)).toContain(LONG);
  });

  it('is silent about a table that was not there a week ago', async () => {
    const known = (...tables: [string, string][]) => ({
      memory: {
        tablesAt: async () =>
          new Map<string, KeptTable>(
            tables.map(([schema, name]) => [
              tableKey(schema, name),
              { liveRows: 0, deadRows: 0, totalBytes: 0 },
            ]),
          ),
      },
    });
    expect(await found(known(['public', 'bare'], ['Odd "Schema"', LONG]))).toEqual([LONG, 'bare']);
  });

  it('is silent after they are gone, or have a row', async () => {
    await inTurn(
      database,
      `DROP TABLE "Odd ""Schema"""."${LONG}", undone; INSERT INTO bare VALUES ('2024-05-05'); INSERT INTO unlogged_none VALUES (1)`,
    );
    expect(await ask(emptyTable, database)).toEqual({ faults: [], unsure: [] });
  });
});
