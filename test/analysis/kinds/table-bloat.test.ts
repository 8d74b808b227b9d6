import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { tableBloat } from '../../../src/analysis/kinds/table-bloat.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { ask, figuresOf, inTurn, tableNamed } from '../support.ts';

describe('TABLE_BLOAT', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase();
    await inTurn(
      database,
      `CREATE SCHEMA "Odd ""Schema"""; CREATE TABLE "Odd ""Schema"""."Orders" AS SELECT g id, md5(g::text) t FROM generate_series(1, 40000) g`,
      'VACUUM ANALYZE',
    );
  });

  afterAll(() => database.drop());

  it('is silent about a fresh table', async () => {
    expect((await ask(tableBloat, database)).faults).toEqual([]);
  });

  it('names the session whose snapshot keeps VACUUM from its work', async () => {
    const reader = new pg.Client({ connectionString: database.url, application_name: 'report' });
    await reader.connect();
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class');
    const { rows } = await reader.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await inTurn(database, `DELETE FROM "Odd ""Schema"""."Orders" WHERE id % 2 = 0`, 'VACUUM');
    const { faults } = await ask(tableBloat, database);
    await reader.query('COMMIT');
    await reader.end();
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ schema: 'Odd "Schema"', table: 'Orders', rows: 20_000 });
    expect(faults[0]!.evidence['verdict']).toBe('NEEDS_VACUUM');
    expect(faults[0]!.evidence['causes']).toContainEqual(
      expect.objectContaining({ code: 'OLD_SNAPSHOT', pid: rows[0]!.pid }),
    );
    expect(faults[0]!.remedy?.variables).toEqual({
      input: { database: 'shop', schema: 'Odd "Schema"', table: 'Orders', method: 'VACUUM' },
    });
  });

  it('asks for a rewrite once VACUUM has done what it can', async () => {
    await inTurn(database, 'VACUUM ANALYZE');
    const { faults } = await ask(tableBloat, database);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ kind: 'TABLE_BLOAT', severity: 'INFO', columns: [], index: null });
    expect(faults[0]!.evidence['verdict']).toBe('NEEDS_REWRITE');
    expect(
      faults[0]!.wastedBytes! / tableNamed(await figuresOf(database), 'Orders').heapBytes,
    ).toBeGreaterThan(0.45);
    expect(faults[0]!.remedy?.variables).toEqual({
      input: { database: 'shop', schema: 'Odd "Schema"', table: 'Orders', method: 'AUTO' },
    });
    expect(faults[0]!.detail).toMatch(/planReorganization with AUTO/);
  });

  it('offers a VACUUM first where rows have died since', async () => {
    const name = `"Odd ""Schema"""."Orders"`;
    await inTurn(
      database,
      `INSERT INTO ${name} SELECT g * 2, md5(g::text) FROM generate_series(1, 20000) g; CREATE INDEX by_text ON ${name} (t)`,
      `DELETE FROM ${name} WHERE id % 20 <> 0`,
      'VACUUM ANALYZE',
    );
    const remedy = async () => (await ask(tableBloat, database)).faults[0]!.remedy;
    expect((await remedy())?.variables).toMatchObject({ input: { method: 'AUTO' } });
    await inTurn(database, `DELETE FROM ${name} WHERE id % 40 <> 0`);
    expect((await remedy())?.variables).toMatchObject({ input: { method: 'VACUUM' } });
  });

  it('is silent after the rewrite', async () => {
    await inTurn(database, `VACUUM FULL "Odd ""Schema"""."Orders"`, 'ANALYZE');
    expect(await ask(tableBloat, database)).toEqual({ faults: [], unsure: [] });
  });

  it('names the bloated partition and adds it up for the partitioned table', async () => {
    await inTurn(
      database,
      `CREATE TABLE log (id int, day date) PARTITION BY RANGE (day);
       CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
       CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
       INSERT INTO log SELECT g, '2024-05-05' FROM generate_series(1, 40000) g; INSERT INTO log SELECT g, '2025-05-05' FROM generate_series(1, 40000) g`,
      'DELETE FROM log_1 WHERE id % 4 <> 0',
      'VACUUM ANALYZE',
    );
    const { faults } = await ask(tableBloat, database);
    expect(faults.map((fault) => fault.table)).toEqual(['log_1']);
    const figures = await figuresOf(database);
    const parent = tableNamed(figures, 'log');
    expect(parent.bloat).toMatchObject({ verdict: 'NEEDS_REWRITE', wastedBytes: faults[0]!.wastedBytes });
    expect(parent.bloat.causes[0]?.detail).toContain('public.log_1');
    expect(parent.totalBytes).toBe(
      tableNamed(figures, 'log_1').totalBytes + tableNamed(figures, 'log_2').totalBytes,
    );
  });
});
