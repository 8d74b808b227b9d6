import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FakeStandby } from '../support/fake-standby.ts';
import { ownServer, type TestDatabase } from '../support/postgres.ts';
import { figuresOf, inTurn, tableNamed } from './support.ts';

describe('the causes of dead rows', () => {
  let server: Awaited<ReturnType<typeof ownServer>>;
  let database: TestDatabase;

  const causesOf = async (table: string) => tableNamed(await figuresOf(database), table).bloat.causes;
  const codesOf = async (table: string) => (await causesOf(table)).map(({ code }) => code);

  beforeAll(async () => {
    server = await ownServer({
      autovacuum: 'on',
      autovacuum_max_workers: '1',
      autovacuum_naptime: '1',
      max_prepared_transactions: '1',
    });
    database = await server.database();
    await inTurn(
      database,
      `CREATE TABLE slow (id int) WITH (autovacuum_enabled = off, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
       INSERT INTO slow SELECT generate_series(1, 50000);
       CREATE TABLE waiting (id int) WITH (autovacuum_enabled = off); INSERT INTO waiting SELECT generate_series(1, 40000);
       CREATE TABLE patient (id int) WITH (autovacuum_vacuum_scale_factor = 0.9, autovacuum_analyze_scale_factor = 9); INSERT INTO patient SELECT generate_series(1, 40000)`,
      'VACUUM ANALYZE',
    );
  });

  afterAll(async () => {
    await database.drop();
    await server.stop();
  });

  it('include that autovacuum is off for the table, or comes later by its settings', async () => {
    await inTurn(database, 'DELETE FROM waiting WHERE id % 2 = 0', 'DELETE FROM patient WHERE id % 4 = 0');
    expect(await codesOf('waiting')).toEqual(['DEAD_ROWS', 'AUTOVACUUM_OFF']);
    expect(await causesOf('patient')).toContainEqual({
      code: 'BELOW_THRESHOLD',
      detail: 'Autovacuum comes to this table from 36050 dead rows on.',
      pid: null,
    });
  });

  it('name the prepared transaction and the idle slot that were there before the last VACUUM', async () => {
    await database.run(`SELECT pg_create_physical_replication_slot('left_behind')`);
    const standby = await FakeStandby.start(database.url, 'left_behind');
    const [row] = await database.run('SELECT pg_current_xact_id()::text AS xid');
    standby.holdBack(Number(row!['xid']));
    while ((await database.run('SELECT 1 FROM pg_replication_slots WHERE xmin IS NOT NULL')).length === 0);
    await standby.close();
    while ((await database.run('SELECT 1 FROM pg_replication_slots WHERE active')).length > 0);
    await inTurn(
      database,
      `BEGIN; INSERT INTO patient VALUES (0); PREPARE TRANSACTION 'forgotten'`,
      'DELETE FROM waiting WHERE id % 4 = 1',
      'VACUUM waiting',
    );
    const causes = await causesOf('waiting');
    await database.run(`ROLLBACK PREPARED 'forgotten'`);
    await database.run(`SELECT pg_drop_replication_slot('left_behind')`);
    expect(causes.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['DEAD_ROWS', 'AUTOVACUUM_OFF', 'PREPARED_TRANSACTION', 'REPLICATION_SLOT']),
    );
    expect(causes.find(({ code }) => code === 'PREPARED_TRANSACTION')!.detail).toMatch(
      /"forgotten" .* \d+ transactions ago, since \d{4}-/,
    );
    expect(causes.find(({ code }) => code === 'REPLICATION_SLOT')!.detail).toMatch(
      /"left_behind" holds back VACUUM, \d+ transactions ago; nobody has read from it since/,
    );
  });

  it('include that VACUUM is at work, and that no worker is left for the others', async () => {
    await inTurn(
      database,
      'DELETE FROM slow WHERE id % 2 = 0',
      'ALTER TABLE slow SET (autovacuum_enabled = on)',
    );
    while (!(await codesOf('slow')).includes('VACUUM_RUNNING'));
    await inTurn(database, 'ALTER TABLE waiting SET (autovacuum_enabled = on)');
    const running = (await causesOf('slow')).find(({ code }) => code === 'VACUUM_RUNNING')!;
    const [worker] = await database.run(
      `SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%public.slow%'`,
    );
    expect(running.pid).toBe(worker!['pid']);
    expect(await causesOf('waiting')).toContainEqual({
      code: 'AUTOVACUUM_STARVED',
      detail: 'All 1 workers of autovacuum are busy elsewhere (autovacuum_max_workers).',
      pid: null,
    });
  });
});
