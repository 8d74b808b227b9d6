import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { type KeptTable, tableKey } from '../../../src/analysis/define-analysis.ts';
import { vacuumOverdue } from '../../../src/analysis/kinds/vacuum-overdue.ts';
import { goneForAll } from '../../support/gone-for-all.ts';
import { type TestDatabase, availableVersions, ownServer, testDatabase } from '../../support/postgres.ts';
import { ask, figuresOf, inTurn, tableNamed } from '../support.ts';

const LONG = `Wide "${'x'.repeat(56)}"`;
const ODD = `"Odd ""Schema"""."${LONG.replaceAll('"', '""')}"`;

const LATER = () => new Date(Date.now() + 2 * 3_600_000);

const overdue = async (database: TestDatabase, given: Parameters<typeof ask>[2] = {}) =>
  (await ask(vacuumOverdue, database, given)).faults;

const names = async (database: TestDatabase) => (await overdue(database)).map((fault) => fault.table).sort();

describe.each(availableVersions())('VACUUM_OVERDUE on PostgreSQL %i', (version) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase(version);
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema"""; CREATE TABLE ${ODD} (id int, doc text)
         WITH (autovacuum_vacuum_scale_factor = 0.9, toast.autovacuum_vacuum_threshold = 10, toast.autovacuum_vacuum_scale_factor = 0.1);
       ALTER TABLE ${ODD} ALTER doc SET STORAGE EXTERNAL;
       INSERT INTO ${ODD} SELECT g, repeat(md5(g::text), 100) FROM generate_series(1, 200) g;
       CREATE TABLE plain AS SELECT g id, g % 7 n FROM generate_series(1, 10000) g;
       CREATE TABLE lax WITH (autovacuum_vacuum_scale_factor = 0.9) AS SELECT g id FROM generate_series(1, 10000) g;
       CREATE TABLE strict WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10) AS SELECT g id FROM generate_series(1, 10000) g;
       CREATE TABLE log (id int, part int) PARTITION BY LIST (part);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1); CREATE TABLE log_2 PARTITION OF log FOR VALUES IN (2);
       INSERT INTO log SELECT g, 1 + g % 2 FROM generate_series(1, 10000) g;
       CREATE TABLE added (id int)`,
      'VACUUM ANALYZE',
    );
  });

  afterAll(() => database.drop());

  it('is silent about tables that were vacuumed', async () => {
    expect(await ask(vacuumOverdue, database)).toEqual({ faults: [], unsure: [] });
  });

  it("is silent below a table's own threshold", async () => {
    await inTurn(
      database,
      'DELETE FROM plain WHERE id <= 2000',
      'DELETE FROM lax WHERE id <= 5000',
      'DELETE FROM strict WHERE id <= 10',
      'INSERT INTO added SELECT generate_series(1, 1000)',
    );
    expect(await overdue(database)).toEqual([]);
  });

  it('finds tables beyond it, by dead rows, dead wide values and new rows; a partition by its own name', async () => {
    await inTurn(
      database,
      'DELETE FROM plain WHERE id <= 3000',
      'DELETE FROM strict WHERE id <= 20',
      'DELETE FROM log_2 WHERE id <= 8000',
      'INSERT INTO added VALUES (0)',
      `UPDATE ${ODD} SET doc = doc || 'x' WHERE id <= 100`,
    );
    expect(await names(database)).toEqual([LONG, 'added', 'log_2', 'plain', 'strict']);
  });

  it('says how many, since when and why, and offers the VACUUM', async () => {
    const faults = new Map((await overdue(database)).map((fault) => [fault.table, fault]));
    expect(faults.get('plain')).toMatchObject({
      severity: 'NOTICE',
      schema: 'public',
      rows: 3_000,
      columns: [],
    });
    expect(faults.get('plain')!.title).toBe('public.plain: 3000 dead rows wait for VACUUM');
    expect(faults.get('plain')!.detail).toMatch(
      /due from 2050 on, and the last VACUUM was \d+ seconds ago\. Autovacuum is off for the whole server/,
    );
    expect(faults.get('plain')!.evidence['causes']).toEqual([
      expect.objectContaining({ code: 'AUTOVACUUM_OFF' }),
    ]);
    expect(faults.get('plain')!.remedy?.variables).toEqual({
      input: { database: 'shop', schema: 'public', table: 'plain', method: 'VACUUM' },
    });
    expect(faults.get('strict')!.detail).toContain('due from 10 on');
    expect(faults.get('strict')).toMatchObject({ severity: 'INFO', rows: 20 });
    expect(faults.get('added')).toMatchObject({ severity: 'INFO', rows: null });
    expect(faults.get('added')!.title).toContain('1001 new rows');
    expect(faults.get(LONG)!.title).toMatch(/: \d+ dead chunks of wide values wait for VACUUM$/);
    expect(faults.get(LONG)!.schema).toBe('Odd "Schema"');
  });

  it('needs no right to read the tables, and says what it cannot see', async () => {
    const role = `watch_${database.name}`;
    await database.run(`CREATE ROLE ${role}; CREATE ROLE blind_${role}; GRANT pg_monitor TO ${role}`);
    const seen = await overdue(database, { role });
    const blind = await overdue(database, { role: `blind_${role}` });
    await database.run(`DROP ROLE ${role}; DROP ROLE blind_${role}`);
    expect(seen.map((fault) => [fault.table, fault.evidence['doubts']])).toEqual(
      seen.map(({ table }) => [table, []]),
    );
    expect(blind.map((fault) => fault.table)).toEqual(seen.map((fault) => fault.table));
    expect(blind[0]!.detail).toContain(`GRANT pg_read_all_stats TO "blind_${role}";`);
  });

  it('leaves to VACUUM_BLOCKED what a VACUUM of just now could not remove', async () => {
    const reader = new pg.Client({ connectionString: database.url });
    await reader.connect();
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class');
    await inTurn(database, 'DELETE FROM lax WHERE id <= 9500', 'VACUUM lax');
    expect(tableNamed(await figuresOf(database), 'lax').deadRows).toBeGreaterThan(4_000);
    expect(await names(database)).not.toContain('lax');
    await reader.query('COMMIT');
    await reader.end();
  });

  it('is silent after the VACUUM', async () => {
    await inTurn(database, 'VACUUM (ANALYZE)');
    expect(await ask(vacuumOverdue, database)).toEqual({ faults: [], unsure: [] });
  });

  it('does not believe a counter that VACUUM FULL has left behind', async () => {
    await inTurn(database, 'DELETE FROM plain WHERE id <= 9900');
    await goneForAll(database);
    await inTurn(database, 'VACUUM FULL plain');
    expect(tableNamed(await figuresOf(database), 'plain').deadRows).toBeGreaterThan(6_000);
    expect(await ask(vacuumOverdue, database)).toMatchObject({
      faults: [],
      unsure: [{ schema: 'public', table: 'plain', why: expect.stringContaining('VACUUM FULL') }],
    });
    await inTurn(database, 'VACUUM plain');
  });

  it('says that nobody counts dead rows while track_counts is off', async () => {
    await database.run(`ALTER DATABASE ${database.name} SET track_counts = off`);
    const { faults, unsure } = await ask(vacuumOverdue, database);
    await database.run(`ALTER DATABASE ${database.name} RESET track_counts`);
    expect(faults).toMatchObject([{ severity: 'WARNING', schema: null, table: null, remedy: null }]);
    expect(unsure).toContainEqual(expect.objectContaining({ table: 'plain' }));
  });
});

describe('VACUUM_OVERDUE where autovacuum is on', () => {
  let server: Awaited<ReturnType<typeof ownServer>>;
  let database: TestDatabase;

  const causes = async (table: string, given: Parameters<typeof ask>[2] = {}) => {
    const found = (await overdue(database, given)).find((fault) => fault.table === table);
    return (found?.evidence['causes'] as { code: string; pid: number | null }[] | undefined) ?? [];
  };

  const isRunning = async (table: string) => {
    const figures = await figuresOf(database);
    return figures.vacuum.running.has(tableNamed(figures, table).oid);
  };

  beforeAll(async () => {
    server = await ownServer({ autovacuum: 'on', autovacuum_max_workers: '1', autovacuum_naptime: '1' });
    database = await server.database();
    await inTurn(
      database,
      `CREATE TABLE slow (id int) WITH (autovacuum_enabled = off, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
       INSERT INTO slow SELECT generate_series(1, 50000);
       CREATE TABLE waiting (id int) WITH (autovacuum_enabled = off); INSERT INTO waiting SELECT generate_series(1, 5000)`,
      'VACUUM ANALYZE',
      'DELETE FROM slow WHERE id % 2 = 0',
      'DELETE FROM waiting',
    );
  });

  afterAll(async () => {
    await database.drop();
    await server.stop();
  });

  it('tells the switch of a table from that of the server', async () => {
    const [fault] = await overdue(database);
    expect(fault).toMatchObject({ table: 'slow', severity: 'NOTICE' });
    expect(fault!.detail).toContain('autovacuum_enabled is off for this table.');
    expect(fault!.detail).toContain('ALTER TABLE "public"."slow" RESET (autovacuum_enabled)');
  });

  it('is silent about a table that is being vacuumed, and says so', async () => {
    await database.run('ALTER TABLE slow SET (autovacuum_enabled = on)');
    while (!(await isRunning('slow')));
    const { faults, unsure } = await ask(vacuumOverdue, database, { now: LATER() });
    expect(faults.map((fault) => fault.table)).toEqual(['waiting']);
    expect(unsure).toEqual([
      { schema: 'public', table: 'slow', index: null, why: 'public.slow: it is being vacuumed now.' },
    ]);
  });

  it('is silent for an hour after a VACUUM, then says that all workers are busy', async () => {
    await database.run(
      'ALTER TABLE waiting SET (autovacuum_enabled = on, autovacuum_vacuum_cost_delay = 20)',
    );
    expect(await causes('waiting')).toEqual([]);
    const now = LATER();
    const [fault] = await overdue(database, { now });
    expect(fault).toMatchObject({ table: 'waiting', severity: 'INFO' });
    expect(fault!.detail).toContain('All 1 workers of autovacuum are busy elsewhere');
    expect(fault!.detail).toContain('No earlier snapshot tells how long');
    expect((await causes('waiting', { now })).map(({ code }) => code)).toEqual([
      'AUTOVACUUM_STARVED',
      'AUTOVACUUM_SLOW',
    ]);
  });

  it('believes earlier snapshots: new tables and rows are not overdue, old ones are', async () => {
    const now = LATER();
    const asked: Date[] = [];
    const before = (tables: Record<string, KeptTable>) => ({
      now,
      memory: {
        tablesAt: async (time: Date) => {
          asked.push(time);
          return new Map(Object.entries(tables).map(([name, kept]) => [tableKey('public', name), kept]));
        },
      },
    });
    const kept = { liveRows: 5_000, totalBytes: 1 };
    expect(await overdue(database, before({}))).toEqual([]);
    expect(await overdue(database, before({ waiting: { ...kept, deadRows: 10 } }))).toEqual([]);
    const [fault] = await overdue(database, before({ waiting: { ...kept, deadRows: 4_000 } }));
    expect(fault).toMatchObject({ table: 'waiting', severity: 'NOTICE' });
    expect(now.getTime() - asked[0]!.getTime()).toBe(3_600_000);
  });

  it('names the session whose lock keeps autovacuum away', async () => {
    const locker = new pg.Client({ connectionString: database.url });
    await locker.connect();
    await locker.query('BEGIN; LOCK TABLE waiting IN SHARE MODE');
    const { rows } = await locker.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const found = await causes('waiting', { now: LATER() });
    await locker.query('COMMIT');
    await locker.end();
    expect(found[0]).toMatchObject({ code: 'AUTOVACUUM_BLOCKED', pid: rows[0]!.pid });
    expect(found[0]).toHaveProperty('detail', expect.stringContaining('ShareLock'));
  });
});
